"""The heads solved exactly: the minimum of their loss, for few images.

With a dozen images the steps of `fit_heads` are few and their noise is large. The loss of a linear
head, with a penalty on its weights, has a minimum that can be found instead.

N: cells; B: images; D: length of a feature vector.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_STEPS = 60


def solve_heads(
    branch: Any, batches: Callable[[], Iterator[tuple[float, dict[str, Any]]]], penalty: float
) -> dict[str, float]:
    """Minimize the loss over all images and the squares of the weights.

    Args:
        branch: a `LocalizationBranch` whose features are standardized, changed in place. Nothing
            is dropped out.
        batches: gives the arguments of its loss for some images, with their share of all, anew
            at each call; all of them once.
        penalty: of the squared weights of a layer, for each of its inputs.

    Returns:
        The losses at the minimum.

    Source:
        Ridge-penalized logistic regression: le Cessie and van Houwelingen, Applied Statistics
        41, 1992; minimized by L-BFGS: Liu and Nocedal, Mathematical Programming 45, 1989.
    """
    heads = (branch.cell_head, branch.image_head)
    weights = [
        weight for head in (*heads, branch.loss_localization) for weight in head.parameters()
    ]
    layers = [part for head in heads for part in head.modules() if isinstance(part, nn.Linear)]
    optimizer = torch.optim.LBFGS(weights, max_iter=_STEPS, line_search_fn="strong_wolfe")
    found: dict[str, float] = {}

    def loss() -> float:
        optimizer.zero_grad()
        found.clear()
        squares = [layer.in_features * layer.weight.square().sum() for layer in layers]
        total = penalty / 2 * torch.stack(squares).sum()
        total.backward()
        value = float(total.detach())
        for share, arguments in batches():
            losses: dict[str, Tensor] = branch.loss(**arguments)
            part = share * torch.stack(list(losses.values())).sum()
            part.backward()
            value += float(part.detach())
            for name, one in losses.items():
                found[name] = found.get(name, 0.0) + share * float(one.detach())
        return value

    branch.eval()
    optimizer.step(loss)
    return dict(found)
