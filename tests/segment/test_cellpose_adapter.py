"""Cellpose and given masks, by a stand-in for the package."""

import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from adapter_pictures import pictures

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.segment import CellposeSegmenter, GivenMasks, NucleusSize
from hpa_mmdet.segment.compare import count_matches, overlaps


def test_cellpose_gives_cells_and_ours_the_nuclei(cellpose: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "cpsam").touch()
    planes, nuclei, cells = pictures()
    diameter = 2 * np.sqrt((nuclei == 5).sum() / np.pi)
    segmenter = pickle.loads(pickle.dumps(CellposeSegmenter(size=NucleusSize(diameter))))
    found = segmenter(planes)
    assert count_matches(overlaps(cells, found.cells), 0.9) == 12
    inside = found.nuclei > 0
    np.testing.assert_array_equal(found.nuclei[inside], found.cells[inside])
    assert len(np.unique(found.nuclei)) == 13
    dark = {name: np.zeros((8, 9), np.uint8) for name in ("red", "blue")}
    assert not CellposeSegmenter()(dark).cells.any()
    with pytest.raises(InputError, match="found channels blue, expected blue, red"):
        CellposeSegmenter()({"blue": planes["blue"]})


@pytest.mark.parametrize(("diameter", "shape_hw"), [(80, (120, 200)), (40, (240, 400))])
def test_cellpose_is_shown_large_nuclei_smaller_with_the_cells_size(
    cellpose: ModuleType, tmp_path: Path, diameter: float, shape_hw: tuple[int, int]
) -> None:
    (tmp_path / "cpsam").touch()
    CellposeSegmenter(size=NucleusSize(diameter))(pictures()[0])
    assert cellpose.asked == [(shape_hw, pytest.approx(2.2 * 40))]


def test_cellpose_never_takes_another_model_than_the_one_named(
    cellpose: ModuleType, tmp_path: Path
) -> None:
    planes, *_ = pictures()
    for model, message in (
        ("cpsma", "found cpsma, expected a file, or one of cpsam, mine"),
        ("cpsam", "found no cpsam on this machine, expected the file .*cpsam; copy it there"),
    ):
        with pytest.raises(InputError, match=message):
            CellposeSegmenter(model, NucleusSize(30))(planes)
    for name in ("broken", "my own"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"broken, which cannot be loaded .*expected a model"):
        CellposeSegmenter(str(tmp_path / "broken"), NucleusSize(30))(planes)
    with pytest.raises(InputError, match=r"--device: found cuda:99 .*expected cpu, cuda"):
        CellposeSegmenter("my own", NucleusSize(30), "cuda:99")(planes)
    # Cellpose would take its default for a file in its folder that its list does not name
    cellpose.loaded.clear()
    CellposeSegmenter("my own", NucleusSize(30))(planes)
    CellposeSegmenter("cpsam", NucleusSize(30), download=True)(planes)
    cpu = torch.device("cpu")
    assert cellpose.loaded == [(False, str(tmp_path / "my own"), cpu), (False, "cpsam", cpu)]


def test_given_masks_are_renumbered_and_checked(tmp_path: Path) -> None:
    planes, nuclei, cells = pictures()
    write_label_image(tmp_path / "cells" / "a.png", cells * 20)
    write_label_image(tmp_path / "nuclei" / "a_mask.tif", nuclei * 3)
    write_label_image(tmp_path / "cells" / "b.png", cells[:50])
    found = GivenMasks(tmp_path / "cells", tmp_path / "nuclei")(planes, "a")
    np.testing.assert_array_equal(found.cells, cells)
    np.testing.assert_array_equal(found.nuclei, nuclei)
    assert not GivenMasks(tmp_path / "cells")(planes, "a").nuclei.any()
    with pytest.raises(InputError, match="found 400x50, expected 400x240"):
        GivenMasks(tmp_path / "cells")(planes, "b")
    with pytest.raises(InputError, match="found no label image of c"):
        GivenMasks(tmp_path / "cells")(planes, "c")
