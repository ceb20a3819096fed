"""A page put together block by block, written as one HTML file.

Everything is inside the file: it opens from a folder, a mail or a cluster without network.
Text is escaped; nothing a file name or a label holds becomes markup.
"""

import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpa_mmdet import __version__
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.pages.embed import figure_svg, picture_data_uri

Cell = str | int | float | None


class Picture(NamedTuple):
    """A picture of a gallery: (H, W) or (H, W, 3) uint8 and the words under it."""

    pixels: NDArray[np.uint8]
    caption: str = ""


class Page:
    """One page.

    Args:
        title: the heading, and the title of the browser's tab.
        subtitle: one line under it.

    Examples:
        >>> page = Page("Cells")
        >>> page.add_table(["class", "cells"], [["Nucleoli", 12], ["Golgi", 3]])
        >>> '<td class="number">12</td>' in page.render()
        True
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._blocks: list[dict[str, Any]] = []

    def add_heading(self, text: str) -> None:
        """Begin a section; the page lists its sections at the top."""
        self._add("heading", text=text, anchor=f"s{len(self._blocks)}")

    def add_text(self, text: str) -> None:
        """Add paragraphs, separated by empty lines."""
        self._add("text", paragraphs=[part for part in text.split("\n\n") if part.strip()])

    def add_note(self, text: str) -> None:
        """Add a paragraph that stands out: something is missing or must be known."""
        self._add("note", text=text)

    def add_table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        caption: str = "",
        *,
        digits: int = 3,
    ) -> None:
        """Add a table.

        Args:
            header: one title per column.
            rows: as many values as the header has; None and NaN are shown as a dash.
            caption: a line above the table.
            digits: decimals of floats.
        """
        cells = [[_format(value, digits) for value in row] for row in rows]
        if any(len(row) != len(header) for row in cells):
            raise ValueError(f"a row's length differs from the header's {len(header)}")
        self._add("table", header=header, rows=cells, caption=caption)

    def add_figure(self, figure: Figure, caption: str = "") -> None:
        """Add a matplotlib figure (see `hpa_mmdet.pages.plots`) as inline SVG."""
        self._add("figure", svg=figure_svg(figure, f"f{len(self._blocks)}"), caption=caption)

    def add_figures(self, figures: Iterable[Figure]) -> None:
        """Add matplotlib figures side by side, two in a row on a wide screen."""
        drawn = [
            figure_svg(figure, f"f{len(self._blocks)}-{place}")
            for place, figure in enumerate(figures)
        ]
        self._add("figures", svgs=drawn, columns=2)

    def add_pictures(self, pictures: Iterable[Picture], *, columns: int = 3) -> None:
        """Add pictures side by side, in rows of `columns` on a wide screen."""
        shown = [
            {
                "uri": picture_data_uri(picture.pixels),
                "caption": picture.caption,
                "size": (picture.pixels.shape[1], picture.pixels.shape[0]),
            }
            for picture in pictures
        ]
        self._add("pictures", pictures=shown, columns=columns)

    def add_legend(self, entries: Iterable[tuple[str, tuple[int, int, int]]]) -> None:
        """Add colour swatches with names; colours are RGB, 0..255."""
        swatches = [(name, f"rgb({r},{g},{b})") for name, (r, g, b) in entries]
        self._add("legend", entries=swatches)

    def render(self) -> str:
        """Give the page as HTML text."""
        template = files("hpa_mmdet.pages").joinpath("page.html.j2").read_text(encoding="utf-8")
        environment = jinja2.Environment(
            autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        return environment.from_string(template).render(
            title=self.title, subtitle=self.subtitle, blocks=self._blocks, version=__version__
        )

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.render(), encoding="utf-8")

    def _add(self, kind: str, **content: Any) -> None:
        self._blocks.append({"kind": kind, **content})


def _format(value: Cell, digits: int) -> tuple[str, bool]:
    """Give the text of a table cell, and whether it is a number."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "-", True
    if isinstance(value, bool | np.bool_):
        return ("yes" if value else "no"), False
    if isinstance(value, int | np.integer):
        return f"{value:,}", True
    if isinstance(value, float | np.floating):
        if 0 < abs(value) < 0.5 * 10**-digits:
            return f"{value:.1e}", True
        return f"{value:,.{digits}f}", True
    return str(value), False
