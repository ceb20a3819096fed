"""Labels assigned to cells: only the image's, each to one cell at least, else Negative."""

import numpy as np
import pytest

from hpa_mmdet.coco.folds import part_in_folds
from hpa_mmdet.errors import InputError
from hpa_mmdet.refine.relabel import EXPECTED_SHARE, assign_labels, harden, offset_to_share


def probs(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 19))


@pytest.mark.parametrize("image_labels", [[14], [0, 5, 16], [11, 18], [18], []], ids=str)
@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("soft", [True, False], ids=["soft", "hard"])
@pytest.mark.parametrize("shares", [EXPECTED_SHARE, None], ids=["share", "probability"])
def test_only_the_images_labels_are_given_and_each_to_some_cell(
    image_labels: list[int], count: int, soft: bool, shares: tuple[float, ...] | None
) -> None:
    assigned = assign_labels(probs(3, count), image_labels, shares)
    labels = assigned if soft else harden(assigned, image_labels)
    assert labels.min() >= 0
    assert labels.max() <= 1
    lacking = [k for k in range(18) if k not in image_labels]
    assert not labels[:, lacking].any()
    for k in set(image_labels) - {18}:
        assert labels[:, k].max() == 1
        assert labels[probs(3, count)[:, k].argmax(), k] == 1
    if not soft:
        shows_none = ~labels[:, :18].any(1)
        np.testing.assert_array_equal(labels[:, 18].astype(bool), shows_none)
        assert set(np.unique(labels)) <= {0.0, 1.0}


def test_the_share_of_cells_is_the_one_expected() -> None:
    assigned = assign_labels(probs(4, 400), [5, 14])
    for k in (5, 14):
        assert assigned[:, k].mean() == pytest.approx(EXPECTED_SHARE[k], abs=0.01)


def test_probabilities_are_taken_as_they_are() -> None:
    given = probs(4, 50)
    assigned = assign_labels(given, [5, 14], shares=None)
    for k in (5, 14):
        likeliest = given[:, k].argmax()
        assert assigned[likeliest, k] == 1
        np.testing.assert_array_equal(
            np.delete(assigned[:, k], likeliest), np.delete(given[:, k], likeliest)
        )
    hard = harden(assigned, [5, 14])
    np.testing.assert_array_equal(hard[:, 5], np.maximum(given[:, 5] >= 0.5, assigned[:, 5] == 1))


def test_how_sure_the_model_is_of_all_cells_together_changes_nothing() -> None:
    given = probs(5, 20)
    shifted = 1 / (1 + (1 - given) / given * np.exp(2))  # all logits two lower
    np.testing.assert_allclose(
        assign_labels(given, [2, 7]), assign_labels(shifted, [2, 7]), atol=1e-6
    )


def test_negative_is_what_the_others_leave() -> None:
    assigned = assign_labels(probs(6, 9), [0, 13])
    np.testing.assert_allclose(assigned[:, 18], (1 - assigned[:, 0]) * (1 - assigned[:, 13]))


def test_an_image_labelled_negative_has_a_negative_cell() -> None:
    assigned = np.zeros((3, 19))
    assigned[:, 14] = [1.0, 0.6, 0.8]
    assert harden(assigned, [14])[:, 18].tolist() == [0, 0, 0]
    assert harden(assigned, [14, 18])[:, 18].tolist() == [0, 1, 0]
    assert harden(assigned, [14, 18])[:, 14].tolist() == [1, 0, 1]
    # the only cell has to show the other label
    assert harden(assigned[:1], [14, 18])[:, [14, 18]].tolist() == [[1, 0]]


def test_an_image_without_cells_gets_no_labels() -> None:
    assert assign_labels(np.zeros((0, 19)), [3]).shape == (0, 19)
    assert harden(np.zeros((0, 19)), [3, 18]).shape == (0, 19)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_the_offset_reaches_the_share(share: float) -> None:
    logits = np.array([-30.0, 0.0, 2.0, 2.0, 35.0])
    offset = offset_to_share(logits, share)
    assert (1 / (1 + np.exp(-logits - offset))).mean() == pytest.approx(share, abs=1e-6)


def test_groups_are_not_parted_and_folds_are_even() -> None:
    groups = ["a"] * 5 + ["b"] * 5 + ["c", "d", "e", "f", "g"]
    folds = part_in_folds(groups, 3, seed=0)
    assert len({folds[image] for image in range(5)}) == 1
    assert len({folds[image] for image in range(5, 10)}) == 1
    assert sorted(np.bincount(folds).tolist()) == [5, 5, 5]
    assert (part_in_folds(groups, 3, seed=0) == folds).all()


@pytest.mark.parametrize(
    ("groups", "folds"),
    [pytest.param(["a", "a", "b"], 3, id="few groups"), pytest.param(["a", "b"], 1, id="one")],
)
def test_too_many_folds_are_refused(groups: list[str], folds: int) -> None:
    with pytest.raises(InputError, match=f"--folds: found {folds}, expected 2 to 2"):
        part_in_folds(groups, folds, seed=0)
