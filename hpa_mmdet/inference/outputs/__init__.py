"""What a run writes for people: one class for each output, each in a module of its own."""

from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.inference.outputs.annotated import AnnDataOutput
from hpa_mmdet.inference.outputs.base import Output, RunContext
from hpa_mmdet.inference.outputs.coco import CocoOutput
from hpa_mmdet.inference.outputs.embeddings import EmbeddingsOutput
from hpa_mmdet.inference.outputs.gallery import GalleryOutput
from hpa_mmdet.inference.outputs.labels import LabelsOutput
from hpa_mmdet.inference.outputs.overlays import OverlaysOutput
from hpa_mmdet.inference.outputs.submission import SubmissionOutput
from hpa_mmdet.inference.outputs.table import TableOutput
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction

OUTPUTS: dict[str, type[Output]] = {
    "submission": SubmissionOutput,
    "table": TableOutput,
    "coco": CocoOutput,
    "labels": LabelsOutput,
    "overlays": OverlaysOutput,
    "gallery": GalleryOutput,
    "anndata": AnnDataOutput,
    "embeddings": EmbeddingsOutput,
}
"""By their names in --write."""


def write_output(
    kind: str, folder: Path, predictions: Sequence[ImagePrediction], rules: CallRules
) -> None:
    """Write one output of predictions in memory, such as those of a page's download.

    Args:
        kind: a name of `OUTPUTS` that needs no pixels.
        folder: a new one.
        predictions: of the images.
        rules: which cells and classes are called.
    """
    files = OutputFiles("infer", overwrite=True, root=folder)
    stored = [StoredImage(prediction, {}) for prediction in predictions]
    OUTPUTS[kind](RunContext(files, folder, folder, (), rules)).finish(lambda: iter(stored))


__all__ = ["OUTPUTS", "Output", "RunContext", "write_output"]
