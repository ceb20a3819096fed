"""The small networks that turn pooled features into localizations.

rows: cells or images; D: length of a feature vector; K = 19 localizations; P: parts.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from hpa_mmdet.localizations import NUM_LOCALIZATIONS


class Standardize(nn.Module):
    """Subtract a mean and divide by a deviation that were measured on training data.

    Unlike batch normalization it never uses the statistics of the batch at hand, which
    may be two images.

    Args:
        length: D.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("std", torch.ones(length))

    def fit(self, chunks: Iterable[Tensor]) -> None:
        """Measure features by running sums; one that never varies is left at scale 1.

        Args:
            chunks: (rows, D) each, of any number of rows; without any row nothing changes.
        """
        count = 0
        total, squares = (torch.zeros_like(self.mean, dtype=torch.float64) for _ in range(2))
        for chunk in chunks:
            rows = chunk.to(total)
            count += len(rows)
            total += rows.sum(0)
            squares += rows.square().sum(0)
        if not count:
            return
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        # sums of squares leave a rounding error of about 1e-8 of the mean
        varies = spread > torch.clamp(1e-6 * mean.abs(), min=1e-6)
        self.std.copy_(torch.where(varies, spread, torch.ones_like(spread)))

    def forward(self, features: Tensor) -> Tensor:
        """Standardize (rows, D) features; outliers are cut at 10 deviations."""
        return ((features - self.mean) / self.std).clamp(-10, 10)


class LocalizationHead(nn.Module):
    """Networks side by side, each with a loss of its own, their probabilities averaged.

    Weak labels invite learning single images by heart. A linear layer does less of it, a
    hidden one sees what is not linear; `benchmarks/bench_weak_labels.py` measures each
    alone and both together.

    Args:
        feature_dim: D.
        hidden: for each part the width of its one hidden layer; 0: none, a linear layer.
        dropout: while it trains.

    Raises:
        ValueError: no part, or a negative width.
    """

    def __init__(
        self, feature_dim: int, hidden: int | Sequence[int] = (0, 256), dropout: float = 0.3
    ) -> None:
        super().__init__()
        widths = [hidden] if isinstance(hidden, int) else list(hidden)
        if not widths or min(widths) < 0:
            raise ValueError(f"hidden: found {hidden}, expected one or more widths, 0 for linear")
        self.standardize = Standardize(feature_dim)
        self.widths = tuple(widths)
        self.parts = nn.ModuleList(_part(feature_dim, width, dropout) for width in widths)

    def forward(self, features: Tensor) -> Tensor:
        """Give the (P, rows, K) logits of all parts for (rows, D) features."""
        standardized = self.standardize(features)
        return torch.stack([part(standardized) for part in self.parts])

    def probabilities(self, features: Tensor) -> Tensor:
        """Average the parts' probabilities: (rows, D) features to (rows, K) in 0..1."""
        return torch.sigmoid(self(features)).mean(0)

    def linear_parameters(self) -> list[nn.Parameter]:
        """Parameters of the linear parts, which bear a far higher learning rate."""
        pairs = zip(self.widths, self.parts, strict=True)
        return [weight for width, part in pairs if width == 0 for weight in part.parameters()]


def _part(feature_dim: int, width: int, dropout: float) -> nn.Sequential:
    if width == 0:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(feature_dim, NUM_LOCALIZATIONS))
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(feature_dim, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, NUM_LOCALIZATIONS),
    )
