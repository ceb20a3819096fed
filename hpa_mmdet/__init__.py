"""hpa-mmdet: each cell's protein localizations from images labelled only as a whole.

Importing this package imports neither torch nor the mm* packages, so that the rooms
below the model (io, coco, segment, scoring) run on any machine.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hpa_mmdet.inference.predictor import Predictor as Predictor


def __getattr__(name: str) -> object:
    """Load `Predictor` when it is first asked for, since it needs torch."""
    if name == "Predictor":
        from hpa_mmdet.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
