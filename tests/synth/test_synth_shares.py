"""LabelModel: the shares that were asked for, and the real ones where none were."""

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.synth.shares import SHARE_SHOWN, LabelModel

IMAGES = 1500


def draw_many(model: LabelModel, seed: int = 0) -> list[tuple[frozenset, list[frozenset]]]:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(IMAGES):
        labels = model.draw_image_labels(rng)
        images.append((labels, model.draw_cell_labels(rng, labels, int(rng.integers(10, 22)))))
    return images


@pytest.fixture(scope="module")
def real() -> list[tuple[frozenset, list[frozenset]]]:
    return draw_many(LabelModel())


def test_images_have_1_to_3_labels_and_nearly_2_on_average(real: list) -> None:
    numbers = np.array([len(labels) for labels, _ in real])
    assert set(numbers.tolist()) == {1, 2, 3}
    assert numbers.mean() == pytest.approx(1.9, abs=0.1)
    assert all(labels == {18} or 18 not in labels for labels, _ in real)
    assert 0 < sum(labels == {18} for labels, _ in real) < 0.03 * IMAGES


def test_each_class_is_shown_by_its_own_share_of_cells(real: list) -> None:
    for label in range(18):
        shares = [
            np.mean([label in cell for cell in cells]) for labels, cells in real if label in labels
        ]
        assert np.mean(shares) == pytest.approx(SHARE_SHOWN[label], abs=0.1)
        if label != 11:
            assert np.std(shares) > 0.1  # differs from image to image


def test_negative_stray_and_unshown_are_as_rare_as_real_ones(real: list) -> None:
    cells = [(cell, labels) for labels, cells in real for cell in cells if labels != {18}]
    negative = np.mean([cell == {18} for cell, _ in cells])
    stray = np.mean([bool(cell - labels - {18}) for cell, labels in cells])
    unshown = [
        all(label not in cell for cell in cells)
        for labels, cells in real
        for label in labels - {18}
    ]
    assert negative == pytest.approx(0.115, abs=0.025)
    assert stray == pytest.approx(0.029, abs=0.006)
    assert 0.01 < np.mean(unshown) < 0.07


def test_strays_are_other_labels_but_no_spindle() -> None:
    cells = LabelModel().draw_cell_labels(np.random.default_rng(1), frozenset({0}), 200_000)
    strays = [cell - {0} for cell in cells if cell - {0, 18}]
    assert len(strays) == pytest.approx(200_000 * 0.029, rel=0.05)
    assert set().union(*strays) == set(range(1, 18)) - {11}


def test_rare_classes_come_when_evenness_rises() -> None:
    def rare(evenness: float) -> int:
        return sum(11 in labels for labels, _ in draw_many(LabelModel(evenness=evenness)))

    assert rare(0.0) < rare(0.5) < rare(1.0)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.4])
def test_a_forced_share_holds_for_every_class_without_strays(share: float) -> None:
    images = [image for image in draw_many(LabelModel(share=share)) if not image[0] & {11, 18}]
    shown = {label: [] for label in range(18)}
    for labels, cells in images:
        assert all(cell <= labels or cell == {18} for cell in cells)
        for label in labels:
            shown[label] += [label in cell for cell in cells]
            assert any(label in cell for cell in cells)
    for label, seen in shown.items():
        if label != 11:
            assert np.mean(seen) == pytest.approx(share, abs=0.04)


def test_a_dividing_cell_shows_nothing_of_a_nucleus() -> None:
    cells = LabelModel(share=1.0).draw_cell_labels(
        np.random.default_rng(0), frozenset({0, 2, 11, 16}), 5
    )
    assert cells == [frozenset({11, 16})] * 5


def test_no_cells_get_no_sets() -> None:
    assert LabelModel().draw_cell_labels(np.random.default_rng(0), frozenset({0, 6}), 0) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"share": 70.0}, "--share: found 70.0, expected 0 to 1", id="per cent"),
        pytest.param({"evenness": -0.1}, "--evenness: found -0.1", id="negative"),
    ],
)
def test_shares_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelModel(**arguments)
