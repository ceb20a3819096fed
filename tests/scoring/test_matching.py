"""Which truth a detection belongs to: the quick way and the general one, by a literal loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpa_mmdet.scoring.matching import NO_MATCH, match_by_class


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rows=st.sampled_from(["few", "many"]))
def test_the_best_truth_of_the_class_is_taken(seed: int, rows: str) -> None:
    rng = np.random.default_rng(seed)
    masks, cells = int(rng.integers(1, 6)), int(rng.integers(0, 5))
    # rounded: ties. Few: mostly at most one cell overlaps enough, the quick way
    iou = np.round(rng.random((masks, cells)) ** (4 if rows == "few" else 1), 1)
    localizations = rng.random((cells, 19)) < 0.3
    mask_index, hpa_index = rng.integers(0, masks, 40), rng.integers(0, 19, 40)
    best = match_by_class(iou, mask_index, hpa_index, localizations, 0.6)
    for at in range(40):
        expected, highest = NO_MATCH, 0.0
        for cell in range(cells):
            value = iou[mask_index[at], cell]
            if localizations[cell, hpa_index[at]] and value >= 0.6 and value > highest:
                expected, highest = cell, value
        assert best[at] == expected
