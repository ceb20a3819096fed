"""Fingerprints change with what a result depends on, and with nothing else."""

import ast
import dataclasses
from pathlib import Path

import pytest

from hpa_mmdet.jobs import fingerprint as module
from hpa_mmdet.jobs.fingerprint import code_digest, file_states, fingerprint


@dataclasses.dataclass(frozen=True)
class Options:
    size: int
    name: str = "a"


def test_values_are_told_apart() -> None:
    values = [Options(1), Options(2), Options(1, "b"), ("1",), (1,), "", "b\udce9", Path("a")]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint("a", "b") != fingerprint("ab")
    assert fingerprint(Options(1)) == fingerprint(Options(1))


def test_a_file_changes_with_its_size_and_time(tmp_path: Path) -> None:
    folder = tmp_path / "run#1"  # a sign that also parts a file from its plane
    folder.mkdir()
    path = folder / "a.png"
    assert file_states([path]) == [(-1, -1)]
    path.write_text("one")
    before = file_states([path])
    path.write_text("other")
    assert file_states([path]) != before


def digest_with(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> str:
    """The digest of `convert_image`, were a module of the package written otherwise."""
    parse = ast.parse

    def changed(source: bytes) -> ast.Module:
        text = source.decode()
        return parse(text.replace(old, new) if f'"""{name}' in text else text)

    with monkeypatch.context() as patch:
        patch.setattr(module.ast, "parse", changed)
        code_digest.cache_clear()
        digest = code_digest("hpa_mmdet.coco.convert_image")
    code_digest.cache_clear()
    return digest


def test_code_counts_and_words_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = code_digest("hpa_mmdet.coco.convert_image")
    title = "Which cells and images are left out"  # filters.py, which convert_image imports
    assert digest_with(monkeypatch, title, "", "") == whole
    assert digest_with(monkeypatch, title, "cell.area <", "cell.area <=") != whole
    assert digest_with(monkeypatch, title, '"""Part cells', '"""Divide cells') == whole
    assert digest_with(
        monkeypatch, title, "kept, dropped = [], []", "kept, dropped = ([], [])"
    ) == (whole)


def test_only_what_is_imported_counts() -> None:
    assert code_digest("hpa_mmdet.coco.convert_image") != code_digest("hpa_mmdet.coco.filters")
    names = module._sources(["hpa_mmdet.coco.convert_image"])
    assert {"hpa_mmdet.coco.filters", "hpa_mmdet.masks.encode", "hpa_mmdet.io.pictures"} <= set(
        names
    )
    assert not any(name.startswith("hpa_mmdet.segment") for name in names)
