"""Page: one file, nothing from outside, nothing injected, whole or not written."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.pages import Page
from hpa_mmdet.pages.page import Picture
from hpa_mmdet.pages.plots import plot_bars, plot_curves, plot_histogram, plot_matrix


class _Reader(HTMLParser):
    """Collects ids, outside addresses and unclosed elements."""

    VOID = ("meta", "img", "br", "link", "path", "use", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def _full_page() -> Page:
    page = Page("Cells <script>", "of & test")
    page.add_heading("Counts")
    page.add_text("First.\n\nSecond.")
    page.add_note("The truth is missing.")
    page.add_table(["name", "n"], [["<b>", 1200], ["b", None]], "a table")
    page.add_figure(plot_bars(["a", "b"], [1, 2.5], title="bars"), "bars")
    page.add_figure(plot_bars(["a", "b"], [1, 2.5], title="bars"), "the same again")
    page.add_figure(plot_histogram([1, 2, 2, 7], unit="px"))
    page.add_figure(plot_curves({"a": ([1, 2], [3, 4]), "b": ([1, 2], [4, 3])}))
    page.add_figure(plot_matrix(["a", "b"], np.eye(2)))
    page.add_heading("Pictures")
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    page.add_pictures([Picture(grey, "grey")], columns=1)
    page.add_pictures([Picture(np.zeros((5, 9, 3), np.uint8), 'a "quoted" name')])
    page.add_legend([("Golgi", (255, 112, 67))])
    return page


def test_every_block_is_well_formed_and_inside_the_file() -> None:
    reader = _Reader()
    html = _full_page().render()
    reader.feed(html)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert all(address.startswith(("#", "data:image/")) for address in reader.addresses)
    assert "url(http" not in html
    assert "@import" not in html
    for reference in re.findall(r"url\(#([^)]*)\)", html):
        assert reference in reader.ids


def test_text_is_escaped() -> None:
    html = _full_page().render()
    assert "<script" not in html
    assert "&lt;b&gt;" in html
    assert "a &#34;quoted&#34; name" in html


def test_numbers_are_readable_and_absent_ones_are_dashes() -> None:
    page = Page("t")
    page.add_table(
        ["a", "b", "c", "d"],
        [
            [1234567, 0.12345, None, np.float32("nan")],
            [1e-4, -3e-5, 0.0, 5e-4],
            [np.int64(3), np.float64(2), "x", True],
        ],
    )
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page.render())
    assert cells[4:8] == ["1.0e-04", "-3.0e-05", "0.000", "0.001"]
    assert [*cells[:4], *cells[8:]] == ["1,234,567", "0.123", "-", "-", "3", "2.000", "x", "yes"]


def test_a_row_of_another_length_is_our_bug() -> None:
    with pytest.raises(ValueError, match="a row's length differs from the header's 2"):
        Page("t").add_table(["a", "b"], [[1]])


def test_the_same_page_gives_the_same_bytes(tmp_path: Path) -> None:
    _full_page().write(tmp_path / "new" / "a.html")
    _full_page().write(tmp_path / "b.html")
    assert (tmp_path / "new" / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.html", "new"]


def test_plots_take_the_pages_ink() -> None:
    html = _full_page().render()
    assert "#010203" not in html
    assert "currentColor" in html
