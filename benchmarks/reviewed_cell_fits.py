"""Fits of bench_reviewed_cells.py: what each point learns from, and how it is scored.

N: training cells; K = 19 localizations.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from weak_label_data import Split
from weak_label_rows import BASE, BOUND, ROWS, Row, fit_and_score, mean_ap, predict

from hpa_mmdet.fit.exponents import choose_by_training_cells
from hpa_mmdet.fit.feature_cache import FeatureCache, join_caches
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.teaching import fit_taught_heads
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.refine.choose import Candidates, choose_cells
from hpa_mmdet.scoring.resampling import class_average_precisions

WEAK, ALONE = "image labels", "reviewed cells alone"
REFERENCES = {row.name: row for row in ROWS if row.name in (BASE, BOUND)}
_LOSS = {"type": "BagLoss", "pooling": "log_sum_exp"}
_EXACT_WEIGHT = 0.2
Ap = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """One fit.

    Args:
        way: of choosing cells, `ALONE` for random ones without any image label, `WEAK` for no
            reviewed cell, the name of a row of bench_weak_labels, or `class 5` for the cells that
            a person finds when looking for class 5.
        number: of reviewed cells.
        errors: share of a reviewer's answers that are wrong.
    """

    way: str
    number: int = 0
    errors: float = 0.0

    @property
    def key(self) -> str:
        """Its name among the results."""
        return "/".join(
            [self.way, str(self.number), *([f"{self.errors:g}"] if self.errors else [])]
        )


class Bench:
    """The data of one seed, and what the heads say before any cell is reviewed.

    Args:
        train: with the true labels of cells, which the reviewer reads.
        test: of other antibodies.
        seed: of all that is drawn.
        with_groups: whether the fit knows the antibodies.
    """

    def __init__(
        self,
        train: Split,
        test: Split,
        seed: int,
        with_groups: bool = True,
    ) -> None:
        self.grouping = train.grouping if with_groups else None
        self.train, self.test, self.seed = train, test, seed
        self.truth = torch.from_numpy(train.truth()).float()
        self.image_of = torch.from_numpy(train.image_of())
        self._weak: Any = None

    def score(self, point: Point) -> Ap:
        """(K,) average precision over the test cells."""
        if point.way in REFERENCES:
            row: Row = REFERENCES[point.way]
            return fit_and_score(row, self.train, self.test, self.seed)[0]
        if point.way == WEAK:
            return self._score(self.weak())
        rows = self.choose(point.way, point.number)
        if point.way == ALONE:
            return self._score(self._fit_alone(rows))
        said = self._answers(rows, point.errors)
        model = self._model()
        cache = self._cache(rows, said)
        _, held_out = fit_taught_heads(model, cache, 3, self.seed, self.grouping)
        choose_by_training_cells(model.localization, held_out)
        return self._score(model)

    def weak(self) -> Any:
        """Heads fitted on the images' labels alone, by the defaults."""
        if self._weak is None:
            self._weak = self._model()
            fit_heads(self._weak, self._cache(np.array([], int), self.truth[:0]), seed=self.seed)
        return self._weak

    def choose(self, way: str, number: int) -> NDArray[np.intp]:
        """Choose rows of cells as tools/choose_cells.py does."""
        if way == ALONE:
            way = "random"
        if way.startswith("class "):
            return self._find(int(way.split()[1]), number)
        cells = self.train.cells
        groups = self.train.groups
        names = [cells.hpa_ids[image] for image in self.image_of.tolist()]
        candidates = Candidates(
            names,
            cells.cell_ids.tolist() if cells.cell_ids is not None else [],
            self._scores() if way != "random" else np.zeros((len(names), NUM_LOCALIZATIONS)),
            cells.image_labels[self.image_of].numpy() > 0,
            [groups[image] for image in self.image_of.tolist()],
            cells.cells.numpy(),
        )
        return np.array([choice.row for choice in choose_cells(candidates, number, way, self.seed)])

    def _find(self, k: int, number: int) -> NDArray[np.intp]:
        """Half the likeliest and half random cells of images that are labelled with class k."""
        scores = self._scores()[:, k]
        labelled = self.train.cells.image_labels[self.image_of, k].numpy() > 0
        rows = np.flatnonzero(labelled)
        likely = rows[np.argsort(-scores[rows], kind="stable")][: number // 2]
        rest = np.setdiff1d(rows, likely)
        others = np.random.default_rng(self.seed).permutation(rest)[: number - len(likely)]
        return np.concatenate([likely, others])

    def _scores(self) -> NDArray[np.float64]:
        """(N, K) what the heads say of the training cells before any is reviewed."""
        return predict(self.weak().localization, self.train.cells)

    def _answers(self, rows: NDArray[np.intp], errors: float) -> torch.Tensor:
        """(n, K) what the reviewer says: a wrong answer is that of another cell, drawn at random."""
        said = self.truth[rows].clone()
        rng = np.random.default_rng([self.seed, 7])
        wrong = rng.random(len(rows)) < errors
        others = rng.integers(len(self.truth), size=len(rows))
        said[torch.from_numpy(wrong)] = self.truth[others[wrong]]
        return said

    def _cache(self, rows: NDArray[np.intp], said: torch.Tensor) -> FeatureCache:
        assert self.train.exact is not None
        targets = self.train.cells.image_labels[self.image_of].clone().float()
        targets[rows] = said
        reviewed = torch.zeros(len(targets), dtype=torch.bool)
        reviewed[rows] = True
        weak = self.train.cells._replace(cell_targets=targets, reviewed=reviewed)
        none = torch.zeros(len(self.train.exact.cells), dtype=torch.bool)
        return join_caches([weak, self.train.exact._replace(reviewed=none)])

    def _fit_alone(self, rows: NDArray[np.intp]) -> Any:
        """Each reviewed cell is an image of its own, so nothing says what its image shows."""
        cells = self.train.cells
        alone = FeatureCache(
            cells.cells[rows], torch.ones(len(rows), dtype=torch.long), cells.cells[rows],
            self.truth[rows], self.truth[rows],
        )  # fmt: skip
        model = self._model(loss={"type": "CellLoss"}, negative="learnt", image_exponent=0.0)
        fit_heads(model, alone, seed=self.seed)
        return model

    def _model(self, loss: dict[str, Any] | None = None, **options: Any) -> Any:
        torch.manual_seed(self.seed)
        branch = LocalizationBranch(
            self.train.cells.cells.shape[1],
            loss or _LOSS,
            exact_loss_weight=_EXACT_WEIGHT,
            **{"cells_exponent": 0.0 if loss else None, **options},
        )
        return SimpleNamespace(localization=branch.eval())

    def _score(self, model: Any) -> Ap:
        scores = predict(model.localization, self.test.cells)
        assert scores.shape[1] == NUM_LOCALIZATIONS
        return class_average_precisions(self.test.truth(), scores)[0]


def mean_of(ap: list[float | None]) -> float:
    """Mean over the classes that the test cells show."""
    return mean_ap(np.array(ap, dtype=float))
