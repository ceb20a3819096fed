"""The page on the format says what the code does."""

import json
from pathlib import Path

import pytest
from make_dataset import make_dataset

from hpa_mmdet.cli.convert_coco import build_parser
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.localizations import HPA28_NAMES, NAMES, SYNONYMS, localization_named

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", [*HPA28_NAMES, *SYNONYMS])
def test_the_mapping_is_the_codes(name: str) -> None:
    found = localization_named(name)
    number = str(HPA28_NAMES.index(name)) if name in HPA28_NAMES else ""
    row = [number, name, f"{found.hpa_index} {NAMES[found.hpa_index]}", found.doubt]
    page = (DOCS / "reference" / "coco_format.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    assert row in rows


def test_every_key_is_explained(tmp_path: Path) -> None:
    page = (DOCS / "reference" / "coco_format.md").read_text()
    data = make_dataset(tmp_path / "data", ("a",))
    convert(data.sources(), tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    for entry in (content["info"], content["images"][0], content["annotations"][0]):
        for key in entry:
            assert f"`{key}`" in page or f'"{key}"' in page, key


def test_every_option_of_the_page_exists() -> None:
    known = {word for action in build_parser()._actions for word in action.option_strings}
    page = (DOCS / "how-to" / "convert.md").read_text()
    # of the sister tools and the benchmarks
    others = {"--val-share", "--folds", "--groups", "--json", "--manual", "--images"}
    for word in page.replace("`", " ").replace("(", " ").split():
        if word.startswith("--"):
            assert word.rstrip(",.;:)") in known | others, word
