"""Outputs of a conversion: older files, files of the user, killed runs."""

from pathlib import Path

import pytest
from make_dataset import Dataset, options

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.errors import InputError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cytoplasm": True}, "--cytoplasm: found no nuclei, expected --nuclei DIR"),
        ({"min_focus": 0.1}, "--min-focus: found no images, expected IMAGES"),
    ],
)
def test_an_option_without_its_source_is_refused(
    dataset: Dataset, tmp_path: Path, values: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        convert(dataset.sources(images=None), tmp_path / "t.json", options(**values))


def test_nothing_is_written_where_every_image_fails(dataset: Dataset, tmp_path: Path) -> None:
    for path in dataset.masks.iterdir():
        path.write_bytes(b"")
    report = convert(dataset.sources(), tmp_path / "out" / "t.json")
    assert report.exit_status == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_an_older_file_is_kept_unless_told(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json")
    with pytest.raises(InputError, match=r"t.json: is there from an earlier run; give --overwr"):
        convert(dataset.sources(), tmp_path / "t.json")
    convert(dataset.sources(), tmp_path / "t.json", overwrite=True)


@pytest.mark.parametrize(
    "name", ["t.json", "t_dropped.csv", "t_nuclei.json", "t_cytoplasm.json", "t.json.report.json"]
)
def test_files_of_the_user_are_never_replaced(dataset: Dataset, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("the user's")
    (tmp_path / "t.json.parts").mkdir()
    (tmp_path / "t.json.parts" / "notes.txt").write_text("the user's")
    sources, chosen = dataset.sources(nuclei=dataset.nuclei), options(cytoplasm=True)
    with pytest.raises(InputError, match=f"{name}: was not written by convert_coco, so it is nev"):
        convert(sources, tmp_path / "t.json", chosen, overwrite=True)
    assert (tmp_path / name).read_text() == "the user's"
    (tmp_path / name).unlink()
    convert(sources, tmp_path / "t.json", chosen)
    assert [path.name for path in (tmp_path / "t.json.parts").iterdir()] == ["notes.txt"]


def test_an_output_is_no_input(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels.csv: is an input of this run"):
        convert(dataset.sources(), dataset.labels, overwrite=True)
    assert dataset.labels.read_text().startswith("ID")


def test_what_was_dropped_before_goes_with_its_run(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    assert (tmp_path / "t_dropped.csv").exists()
    convert(dataset.sources(), tmp_path / "t.json", overwrite=True)
    assert not (tmp_path / "t_dropped.csv").exists()


def test_a_run_killed_among_its_outputs_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    (tmp_path / "t.json").unlink()  # as if killed before it, when the others were there
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    (tmp_path / "t.json").unlink()
    with pytest.raises(InputError, match=r"t_dropped.csv: is there from an earlier run"):
        convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=74))
