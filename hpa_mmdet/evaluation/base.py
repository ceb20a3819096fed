"""What all metrics share: the truth, and taking predictions from data samples."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from mmengine.evaluator import BaseMetric

from hpa_mmdet.evaluation.read_samples import find_truth, read_prediction
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.scoring.truth import TruthImage, read_truth


class TruthMetric(BaseMetric):
    """A metric whose truth is a JSON of tools/convert_coco.py.

    Args:
        ann_file: the JSON; for scores of single cells its sets must be each cell's own.
        classwise: also report each class's figure.
        kwargs: of mmengine's `BaseMetric`.
    """

    needs_masks: ClassVar[bool] = True

    def __init__(self, ann_file: str, classwise: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file, self.classwise = ann_file, classwise

    @cached_property
    def truth(self) -> dict[str, TruthImage]:
        """The truth, read when it is first needed.

        Raises:
            InputError: as `read_truth`.
        """
        return read_truth(Path(self.ann_file))

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the predictions of a batch; see `read_prediction` for what a sample holds."""
        for sample in data_samples:
            image = find_truth(sample, self.truth)
            with_masks = self.wants_masks(sample)
            self.results.append(read_prediction(sample, image, with_masks=with_masks))

    def wants_masks(self, sample: Mapping[str, Any]) -> bool:
        """Say whether the masks of this sample's predictions are needed."""
        return self.needs_masks

    def pairs(self, results: Sequence[ImagePrediction]) -> list[tuple[TruthImage, ImagePrediction]]:
        """Put each image's truth beside its prediction, each image once."""
        once = {result.image_id: result for result in results}
        return [(self.truth[image_id], result) for image_id, result in once.items()]

    def by_class(self, name: str, values: Sequence[float]) -> dict[str, float]:
        """Name a figure of each class, where `classwise` asks for it; without NaN."""
        if not self.classwise:
            return {}
        classes = zip(LOCALIZATIONS, values, strict=True)
        return {
            f"{name}_{shown.hpa_index:02d}_{shown.short_name.replace(' ', '_')}": float(value)
            for shown, value in classes
            if value == value
        }
