"""The plots of the pages, in one plain style that reads on light and on dark ground."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hpa_mmdet.pages.embed import INK

# Six hues of Okabe and Ito (2008), told apart with colour-blind eyes and on both grounds.
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def plot_bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    title: str = "",
    unit: str = "",
    colours: Sequence[Any] | None = None,
) -> Figure:
    """Horizontal bars, first name on top, with the value behind each bar."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.5, 0.6 + 0.24 * len(names))
        places = np.arange(len(names))
        axes.barh(places, values, height=0.72, color=colours or SERIES_COLOURS[0])
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.margins(x=0.12, y=0.01)
        axes.grid(axis="x")
        for place, value in zip(places, values, strict=True):
            text = f" {value:,.0f}" if float(value).is_integer() else f" {value:,.3f}"
            axes.text(value, float(place), text, va="center", fontsize=8)
        axes.set(title=title, xlabel=unit)
        return figure


def plot_histogram(
    values: Sequence[float] | NDArray[Any], *, title: str = "", unit: str = ""
) -> Figure:
    """Counts over 40 bins; whole numbers of a smaller range get one bin each."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(5.5, 2.6)
        numbers = np.asarray(values, np.float64)
        edges: Any = 40
        if numbers.size and np.all(numbers == np.rint(numbers)) and np.ptp(numbers) < edges:
            edges = np.arange(numbers.min() - 0.5, numbers.max() + 1)
        axes.hist(numbers, bins=edges, color=SERIES_COLOURS[0], rwidth=0.92)
        axes.grid(axis="y")
        axes.set(title=title, xlabel=unit, ylabel="count")
        return figure


def plot_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
    x_name: str = "step",
    y_name: str = "",
) -> Figure:
    """Lines over a shared x axis: name -> (x, y)."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(7.5, 3.2)
        for place, (name, (x, y)) in enumerate(curves.items()):
            marker = "o" if len(x) < 25 else ""
            colour = SERIES_COLOURS[place % len(SERIES_COLOURS)]
            style = "-" if place < len(SERIES_COLOURS) else "--"
            axes.plot(x, y, style, label=name, color=colour, marker=marker, ms=3, lw=1.4)
        if all(float(value).is_integer() for x, _ in curves.values() for value in x):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        axes.set(title=title, xlabel=x_name, ylabel=y_name)
        if len(curves) > 1:
            axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def plot_matrix(
    names: Sequence[str],
    matrix: NDArray[Any],
    *,
    title: str = "",
    texts: NDArray[Any] | None = None,
) -> Figure:
    """A square matrix of values from 0 to 1 as shades, with a text in each field."""
    with mpl.rc_context(_STYLE):
        side = 1.8 + 0.42 * len(names)
        figure, axes = _figure(side + 0.6, side)
        shades = np.asarray(matrix, np.float64)
        axes.imshow(shades, cmap="viridis", vmin=0, vmax=max(float(np.nanmax(shades)), 1e-9))
        places = np.arange(len(names))
        axes.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, names)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(title)
        middle = 0.6 * float(np.nanmax(shades)) if shades.size else 0.0
        for (row, column), value in np.ndenumerate(texts if texts is not None else shades):
            text = str(value) if texts is not None else f"{value:.2f}"
            ink = INK if np.isnan(shades[row, column]) else "white"
            ink = "black" if shades[row, column] > middle else ink
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=ink)
        return figure


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.add_subplot()
