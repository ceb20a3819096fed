"""Plots and pictures as text that stands inside an HTML file."""

import base64
import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Ink of the plots; replaced by the page's own text colour, so that light and dark both read.
INK = "#010203"
_STYLE: Any = {
    "svg.fonttype": "none",  # real text in the page's font: small, selectable
    "svg.hashsalt": "hpa-mmdet",  # the same figure gives the same bytes
    "path.simplify": True,
}


def picture_data_uri(picture: NDArray[np.uint8]) -> str:
    """Encode a picture, (H, W) or (H, W, 3), as the `data:` address of a JPEG."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.save(buffer, format="JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def figure_svg(figure: Figure, prefix: str) -> Markup:
    """Draw a matplotlib figure as an inline `<svg>` element.

    Args:
        figure: made without pyplot, so that nothing is left open.
        prefix: put before every id in the drawing; ids must be unique in a page.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    width_px = round(float(figure.get_figwidth()) * 96)
    svg = svg.replace("<svg", f'<svg style="max-width:{width_px}px" role="img"', 1)
    return Markup(svg.replace(INK, "currentColor"))
