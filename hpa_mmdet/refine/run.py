"""One round of refinement, from a config and a JSON to a new JSON.

N: cells of a data set; K = 19 localizations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.coco.folds import Grouping, part_in_folds
from hpa_mmdet.coco.read import CocoData, read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.fit.feature_cache import FeatureCache, cache_features, load_cache, save_cache
from hpa_mmdet.fit.fit_data import NOT_OF_HEADS
from hpa_mmdet.io.label_tables import read_cell_labels
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.localizations import NUM_LOCALIZATIONS, multi_hot
from hpa_mmdet.refine.out_of_fold import predict_out_of_fold
from hpa_mmdet.refine.relabel import EXPECTED_SHARE, Assignment, assign_labels, harden
from hpa_mmdet.refine.rewrite import Change, count_changes, rewrite_labels, write_changes


@dataclass(frozen=True)
class RefineOptions:
    """How to refine.

    Args:
        folds: how many models are fitted.
        seed: of the folds and the fits.
        soft: probabilities in place of yes and no.
        assign: how the probabilities become labels, see `relabel`.
        images: folder of the channel files; None for the one that the JSON names.
        checkpoint: weights of the model; None for those that its config loads.
        features: file to keep the features in, or to take them from.
        groups: of images that share a fold.
        truth: CSV with columns ID, cell_id, cell_labels, to count right changes.
    """

    folds: int = 5
    seed: int = 0
    soft: bool = False
    assign: Assignment = "probability"
    images: Path | None = None
    checkpoint: Path | None = None
    features: Path | None = None
    groups: Grouping | None = None
    truth: Path | None = None


def refine(
    config: Any,
    source: Path,
    out: Path,
    options: RefineOptions,
    outputs: OutputFiles,
    report: Callable[[int], None] | None = None,
) -> list[Change]:
    """Refine a data set's labels; writes `out` and a table beside it, <out>.changes.csv.

    Args:
        config: mmengine's, with `model` and `train_cfg.fit` of `DetectThenFitLoop`.
        source: COCO JSON.
        out: COCO JSON to write.
        options: how.
        outputs: the run's, in which both files are claimed.
        report: is called with the number of each fold that is done.

    Returns:
        What changed, class by class.

    Raises:
        InputError: the JSON, the features or a table cannot be used.
    """
    data = read_coco(source)
    names = [image.hpa_id for image in data.images]
    groups = names if options.groups is None else options.groups.groups_of(names)
    shown = None if options.truth is None else read_cell_labels(options.truth)
    torch.manual_seed(options.seed)  # of the heads' first weights
    model = _build_model(config, options.checkpoint)
    cache = _with_labels_of(_features(model, config, source, options), data)
    group_of = dict(zip(names, groups, strict=True))
    fold_of = part_in_folds([group_of[name] for name in cache.hpa_ids], options.folds, options.seed)
    fit = {name: value for name, value in config.train_cfg.fit.items() if name not in NOT_OF_HEADS}
    probs = predict_out_of_fold(model, cache, fold_of, fit, options.seed, report)
    labels = _assign(data, cache, probs, options)
    changes = _compare(data, labels, shown, options.truth)
    with outputs.writing(out) as temporary:
        rewrite_labels(source, temporary, labels, options.soft)
    table = out.with_suffix(".changes.csv")
    with outputs.writing(table) as temporary:
        write_changes(temporary, changes)
    return changes


def _build_model(config: Any, checkpoint: Path | None) -> Any:
    from mmdet.registry import MODELS
    from mmengine.runner import load_checkpoint

    model = MODELS.build(config.model)
    model.init_weights()
    if checkpoint is not None:
        load_checkpoint(model, str(checkpoint), map_location="cpu", strict=True)
    return model


def _features(model: Any, config: Any, source: Path, options: RefineOptions) -> FeatureCache:
    if options.features is not None and options.features.is_file():
        return load_cache(options.features)
    from mmengine.runner import Runner

    loader = config.train_cfg.fit.dataloader.to_dict()
    loader["dataset"]["ann_file"] = str(source.resolve())
    loader["dataset"]["data_prefix"] = {"img": str(options.images) if options.images else ""}
    cache = cache_features(model, Runner.build_dataloader(loader, seed=options.seed))
    if options.features is not None:
        save_cache(options.features, cache)
    return cache


def _with_labels_of(cache: FeatureCache, data: CocoData) -> FeatureCache:
    """Give the cache the labels of the file: kept features may come from an earlier round."""
    assert cache.cell_ids is not None
    image_of = {image.hpa_id: image for image in data.images}
    targets = torch.zeros(len(cache.cells), NUM_LOCALIZATIONS)
    reviewed = torch.zeros(len(cache.cells), dtype=torch.bool)
    labels = torch.zeros(len(cache.images), NUM_LOCALIZATIONS)
    parts = torch.arange(len(targets)).split(cache.counts.tolist())
    for place, (hpa_id, rows) in enumerate(zip(cache.hpa_ids, parts, strict=True)):
        if hpa_id not in image_of:
            raise InputError(
                "features", f"image {hpa_id}", f"an image of {data.path}", "remove the file"
            )
        labels[place, list(image_of[hpa_id].image_labels)] = 1
        cells = {cell.cell_id: cell for cell in image_of[hpa_id].cells}
        for row, cell_id in zip(rows.tolist(), cache.cell_ids[rows].tolist(), strict=True):
            if cell_id not in cells:
                found = f"cell {cell_id} of image {hpa_id}"
                raise InputError("features", found, f"a cell of {data.path}", "remove the file")
            cell = cells[cell_id]
            probs = cell.hpa_probs or (1.0,) * len(cell.hpa_indices)
            targets[row, list(cell.hpa_indices)] = torch.tensor(probs)
            reviewed[row] = cell.reviewed
    return cache._replace(cell_targets=targets, image_labels=labels, reviewed=reviewed)


def _assign(
    data: CocoData, cache: FeatureCache, probs: NDArray[np.float64], options: RefineOptions
) -> dict[int, NDArray[np.float64]]:
    """Give the labels of each cell by the id of its annotation."""
    assert cache.cell_ids is not None
    shares = EXPECTED_SHARE if options.assign == "share" else None
    image_of = {image.hpa_id: image for image in data.images}
    labels: dict[int, NDArray[np.float64]] = {}
    parts = torch.arange(len(probs)).split(cache.counts.tolist())
    for hpa_id, rows in zip(cache.hpa_ids, parts, strict=True):
        image = image_of[hpa_id]
        looked_at = {cell.cell_id for cell in image.cells if cell.reviewed}
        assigned = assign_labels(probs[rows.numpy()], image.image_labels, shares)
        if not options.soft:
            assigned = harden(assigned, image.image_labels)
        annotation_of = {cell.cell_id: cell.annotation_id for cell in image.cells}
        for cell_id, of_cell in zip(cache.cell_ids[rows].tolist(), assigned, strict=True):
            if cell_id not in looked_at:  # what a person saw stays
                labels[annotation_of[cell_id]] = of_cell
    return labels


def _compare(
    data: CocoData,
    labels: Mapping[int, NDArray[np.float64]],
    shown: Mapping[str, Mapping[int, Sequence[int]]] | None,
    table: Path | None,
) -> list[Change]:
    before: list[NDArray[np.bool_]] = []
    after: list[NDArray[np.bool_]] = []
    true: list[NDArray[np.bool_]] = []
    for image in data.images:
        true_sets = (shown or {}).get(image.hpa_id, {})
        for cell in image.cells:
            if cell.annotation_id not in labels:
                continue
            if shown is not None and cell.cell_id not in true_sets:
                raise InputError(
                    table,
                    f"no row for cell {cell.cell_id} of image {image.hpa_id}",
                    "one per cell",
                    "add it, or leave --truth out",
                )
            before.append(multi_hot(cell.hpa_indices))
            after.append(labels[cell.annotation_id] >= 0.5)
            true.append(multi_hot(true_sets.get(cell.cell_id, ())))
    stacked = (
        np.array(rows, bool).reshape(-1, NUM_LOCALIZATIONS) for rows in (before, after, true)
    )
    cells_before, cells_after, cells_true = stacked
    return count_changes(cells_before, cells_after, None if shown is None else cells_true)
