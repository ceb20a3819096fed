"""mmengine metrics: the same numbers as on files, from every form a model answers in."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from hpa_mmdet.compat import prepare

prepare()

from mmdet.registry import METRICS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmengine.evaluator import Evaluator  # noqa: E402

import hpa_mmdet.evaluation  # noqa: E402, F401
from hpa_mmdet.errors import InputError  # noqa: E402
from hpa_mmdet.localizations import LOCALIZATIONS  # noqa: E402

HEIGHT, WIDTH, K = 40, 60, 19
CELLS = [[(4, 5, 16, 12), {2}], [(30, 8, 20, 20), {5, 16}], [(6, 24, 14, 14), {18}]]


def mask_of(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    one = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [HEIGHT, WIDTH], "counts": one["counts"].decode()}


@pytest.fixture
def ann_file(tmp_path: Path) -> str:
    """Two images of the same three cells (ids with gaps), and one without cells."""
    images, annotations = [], []
    for number in (4, 7, 9):
        cells = CELLS if number < 9 else []
        labels = sorted({k for _, classes in cells for k in classes})
        entry = {"id": number, "hpa_id": f"image-{number}", "labels": labels}
        images.append({**entry, "file_name": "x.png", "width": WIDTH, "height": HEIGHT})
        for cell_id, (box, classes) in enumerate(cells, start=11):
            one = {"id": len(annotations) + 1, "image_id": number, "cell_id": cell_id}
            one["category_ids"] = [k + 1 for k in sorted(classes)]
            annotations.append({**one, "segmentation": rle(mask_of(*box))})
    categories = [{"id": k + 1, "hpa_index": k} for k in range(K)]
    path = tmp_path / "val.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return str(path)


def scores_of_truth(sure: float = 0.9) -> torch.Tensor:
    scores = torch.full((3, K), 0.1)
    for row, (_, classes) in enumerate(CELLS):
        scores[row, list(classes)] = sure
    return scores


def sample(number: int, form: str = "tensor", **changes: Any) -> DetDataSample:
    """A model's answer that finds and names the three cells rightly."""
    one = DetDataSample(metainfo={"img_id": number, "ori_shape": (HEIGHT, WIDTH)})
    masks = np.stack([mask_of(*box) for box, _ in CELLS])
    boxes = torch.tensor([[x, y, x + w, y + h] for (x, y, w, h), _ in CELLS], dtype=torch.float32)
    found = InstanceData(bboxes=boxes, scores=torch.tensor([0.9, 0.8, 0.7]))
    found.localization_scores = scores_of_truth()
    if form == "tensor":
        found.masks = torch.from_numpy(masks).bool()
    elif form == "rle":
        found.masks = [rle(mask) for mask in masks]
    elif form == "bitmap":
        found.masks = BitmapMasks(masks, HEIGHT, WIDTH)
    elif form == "probs":
        found.bboxes = HorizontalBoxes(boxes)
        found.mask_probs = torch.ones(3, 1, 28, 28)
    for name, value in changes.items():
        setattr(found, name, value)
    one.pred_instances = found
    return one


def evaluate(
    ann_file: str, metrics: list[str], samples: list[DetDataSample], **options: Any
) -> dict:
    built = [METRICS.build({"type": name, "ann_file": ann_file, **options}) for name in metrics]
    evaluator = Evaluator(built)
    for one in samples:  # batches of one
        evaluator.process(data_samples=[one], data_batch=None)
    return evaluator.evaluate(len(samples))


ALL = ["ContestMetric", "CellDetectionMetric", "CellLocalizationMetric", "ImageLocalizationMetric"]


def empty_sample(number: int) -> DetDataSample:
    one = sample(number)
    one.pred_instances = one.pred_instances[torch.zeros(3, dtype=torch.bool)]
    return one


@pytest.mark.parametrize("form", ["tensor", "rle", "bitmap", "probs"])
def test_right_answers_score_one_in_every_form(ann_file: str, form: str) -> None:
    figures = evaluate(ann_file, ALL, [sample(4, form), sample(7, form), empty_sample(9)])
    for name in ("contest/map", "cells/ap_50", "cells/ap_75", "localization/map", "image/map"):
        assert figures[name] == pytest.approx(1.0), name
    assert figures["localization/found"] == 1
    assert figures["localization/frequency_map"] == pytest.approx((1 + 1 + 1 + 1) / 3 / 4)
    assert "image/head_map" not in figures


def test_a_wrong_name_and_a_missed_cell(ann_file: str) -> None:
    scores = scores_of_truth()
    scores[0] = 0.0
    scores[0, 5] = 1.0  # cell 1 shows 2, and is called 5, more surely than cell 2
    moved = [
        rle(mask_of(x, 0 if at == 2 else y, w, h)) for at, ((x, y, w, h), _) in enumerate(CELLS)
    ]
    wrong = sample(4, "rle", localization_scores=scores, masks=moved)
    figures = evaluate(ann_file, ALL, [wrong], classwise=True)
    # 2 is found as the last of three, 5 as the second, 16 as the first, 18 lies elsewhere
    assert figures["contest/ap_02_Nucleoli"] == pytest.approx(1 / 3)
    assert figures["contest/ap_05_Nuc._bodies"] == 0.5
    assert figures["contest/map"] == pytest.approx((1 / 3 + 0.5 + 1 + 0) / 4)
    assert figures["cells/recall_50"] == pytest.approx(2 / 3)
    assert figures["localization/found"] == pytest.approx(2 / 3)
    # each class of the only image is named by some cell, so there is no order to get wrong
    assert figures["image/map"] == 1
    assert not any("Nucleoplasm" in name for name in figures)  # no truth, no figure


def test_given_cells_are_matched_by_their_ids(ann_file: str) -> None:
    order = [2, 0, 1]
    given = sample(4, "none", localization_scores=scores_of_truth()[order])
    given.pred_instances.masks = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool)
    given.given_instances = InstanceData(cell_ids=torch.tensor([11, 12, 13])[order])
    figures = evaluate(ann_file, ["CellLocalizationMetric"], [given])
    assert figures["localization/map"] == 1
    given.given_instances.cell_ids = torch.tensor([11, 12, 13])
    assert evaluate(ann_file, ["CellLocalizationMetric"], [given])["localization/map"] < 1


def test_the_image_heads_own_score(ann_file: str) -> None:
    samples = [sample(4, "none"), sample(9, "none")]
    for one in samples:
        one.image_probs = torch.linspace(0.1, 0.9, K)
    figures = evaluate(ann_file, ["ImageLocalizationMetric"], samples, pooling="mean")
    assert figures["image/head_map"] == 0.5  # both images alike: the labels' frequency


def test_a_model_without_names_is_scored_by_its_cells(ann_file: str) -> None:
    plain = sample(4)
    del plain.pred_instances.localization_scores
    assert evaluate(ann_file, ["CellDetectionMetric"], [plain])["cells/ap_75"] == 1


def test_an_image_shown_twice_counts_once_and_ids_may_be_names(ann_file: str) -> None:
    named = sample(4)
    named.set_metainfo({"hpa_id": "image-7", "img_id": "other"})
    figures = evaluate(ann_file, ["CellDetectionMetric"], [sample(4), sample(4), named])
    assert figures["cells/ap_75"] == 1
    assert figures["cells/recall_75"] == 1


def test_results_can_be_sent_between_processes(ann_file: str) -> None:
    metric = METRICS.build({"type": "ContestMetric", "ann_file": ann_file})
    metric.process(None, [sample(4, "probs").to_dict()])
    sent = pickle.dumps(metric.results)
    assert len(sent) < 5000
    assert metric.compute_metrics(pickle.loads(sent))["map"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"scores": torch.tensor([0.5, 1.2, 0.1])}, "a score outside 0 to 1", id="high"
        ),
        pytest.param(
            {"localization_scores": torch.full((3, K), float("nan"))},
            "image-4: the model gave a score, box or mask that is not a finite",
            id="NaN",
        ),
        pytest.param(
            {"masks": torch.ones(3, 20, 30)},
            r"image-4: found masks of \(20, 30\), expected \(40, 60\) \(height, width\)",
            id="size",
        ),
        pytest.param(
            {"masks": [{"size": [60, 40], "counts": "0"}] * 3}, r"\(60, 40\)", id="RLE size"
        ),
    ],
)
def test_a_broken_answer_is_named(ann_file: str, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(ann_file, ["ContestMetric"], [sample(4, **change)])


def test_an_answer_without_masks(ann_file: str) -> None:
    with pytest.raises(InputError, match="found no masks, expected masks, or mask_probs"):
        evaluate(ann_file, ["ContestMetric"], [sample(4, "none")])


def test_an_image_that_the_truth_lacks(ann_file: str) -> None:
    with pytest.raises(InputError, match="found no image 5, expected the images of the data set"):
        evaluate(ann_file, ["ContestMetric"], [sample(5)])


def test_class_names_are_fit_for_a_log() -> None:
    names = {shown.short_name.replace(" ", "_") for shown in LOCALIZATIONS}
    assert all("/" not in name for name in names)
