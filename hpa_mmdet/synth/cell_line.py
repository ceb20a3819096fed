"""What the cells of one image have in common, as cells of one line grown in one well do."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CellLine:
    """The look of one image's cells and reference stains.

    Args:
        size: cell radius over the usual one.
        stretch: deviation of the logarithm of length over width.
        corners: expected number of corners and tails of a cell.
        aligned: how much cells lie along one direction, 0 (not) to 1.
        squeeze: how far cells press into their neighbours; 1 just touches.
        edge_um: over what distance a cell thins out towards its edge.
        tubules_per_um2: microtubules for each square micrometre.
        tubule_haze: unresolved microtubule light over the resolved one.
        over_nucleus: reference light over the nucleus over that around it.
        net_contrast: how much the reticulum shows its mesh, 0 (even fill) to 1.
        net_reach_um: how far from the nucleus the reticulum stays dense.
        chromatin_grain: deviation of the DNA stain's texture.
    """

    size: float = 1.0
    stretch: float = 0.3
    corners: float = 2.5
    aligned: float = 0.0
    squeeze: float = 1.1
    edge_um: float = 1.8
    tubules_per_um2: float = 0.25
    tubule_haze: float = 0.4
    over_nucleus: float = 0.2
    net_contrast: float = 0.5
    net_reach_um: float = 10.0
    chromatin_grain: float = 0.12


def draw_cell_line(rng: np.random.Generator) -> CellLine:
    """Draw an image's cell line."""
    return CellLine(
        size=float(np.exp(rng.normal(0, 0.13))),
        stretch=float(rng.choice([0.2, 0.35, 0.55])),
        corners=float(rng.uniform(1, 5)),
        aligned=float(rng.choice([0.0, 0.0, 0.5, 0.9])),
        squeeze=float(rng.uniform(0.98, 1.3)),
        edge_um=float(rng.uniform(0.8, 3.2)),
        tubules_per_um2=float(rng.uniform(0.14, 0.4)),
        tubule_haze=float(rng.uniform(0.2, 1.2)),
        over_nucleus=float(rng.uniform(0.04, 0.5)),
        net_contrast=float(rng.uniform(0.15, 0.9)),
        net_reach_um=float(rng.uniform(5, 18)),
        chromatin_grain=float(rng.uniform(0.07, 0.2)),
    )
