"""Our Mask R-CNN against mmdet's own: the same backbone, channels, proposals, batch and size.

The stock model is our config's detector built of mmdet's classes: MaskRCNN, StandardRoIHead,
SingleRoIExtractor, masks pasted to full size. It starts from our detector's weights, so both
find the same boxes. Its images are the four channels in one RGBA file, read by its own loader.
"""

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from hpa_mmdet.compat import prepare

prepare()
from mmdet.apis import inference_detector  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402

from hpa_mmdet.compat.checkpoints import load_checkpoint_strict  # noqa: E402
from hpa_mmdet.inference.cleaning import DEFAULT_CLEANING  # noqa: E402
from hpa_mmdet.inference.plan import RunOptions, plan_run  # noqa: E402
from hpa_mmdet.inference.predictor import Predictor  # noqa: E402
from hpa_mmdet.inference.stored_images import line_of  # noqa: E402
from hpa_mmdet.inference.stream import ImageStream  # noqa: E402

CELLS = 60  # found in each image, as many as a crowded one has


def stock_model(ours: ConfigDict) -> ConfigDict:
    """Build the config of our detector's double of mmdet's classes."""
    model = copy.deepcopy(ours)
    model.pop("localization", None)
    model.type = "MaskRCNN"
    model.data_preprocessor.type = "DetDataPreprocessor"
    model.roi_head.type = "StandardRoIHead"
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        model.roi_head[name].type = "SingleRoIExtractor"
    model.test_cfg.rcnn.mask_thr_binary = 0.5
    return model


def at_full_size(stock: ConfigDict) -> ConfigDict:
    """Let the stock model see every pixel, as mmdet's own configs do; ours averages some first."""
    model = copy.deepcopy(stock)
    factor, model.backbone.input_stride = model.backbone.get("input_stride", 1), 1
    anchors = model.rpn_head.anchor_generator
    anchors.strides = [stride // factor for stride in anchors.strides]
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        extractor = model.roi_head[name]
        extractor.featmap_strides = [stride // factor for stride in extractor.featmap_strides]
        extractor.finest_scale //= factor
    return model


def compare_steps(ours: Config, stock: Config, args: argparse.Namespace, stepper: Any) -> Any:
    """Time training steps by turns, on batches that are in memory already."""
    sides = {}
    for name, config in {"ours": ours, "stock": stock}.items():
        batches = iter(Runner.build_dataloader(config.train_dataloader, seed=0))
        sides[name] = (stepper(config, args), batches, [])
    for _ in range(args.warm_up + args.steps):
        for step, batches, seconds in sides.values():
            batch, started = next(batches), clock(args.device)
            step(batch)
            seconds.append(clock(args.device) - started)
    return _compared("step_ms", {name: side[2][args.warm_up :] for name, side in sides.items()})


def compare_inference(
    ours: Config, stock: Config, folder: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Time images from files to run-length texts by turns.

    Ours with and without names, masks as the network drew them, as the stock model's are; and
    as tools/infer.py does it, which names cells and grows their outlines.
    """
    ours, stock = copy.deepcopy(ours), copy.deepcopy(stock)
    for config in (ours, stock):
        config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=CELLS)
    state = _weights(ours, args)
    whole_way = _predictor(ours, args, state, folder, DEFAULT_CLEANING)
    named = _predictor(ours, args, state, folder)
    bare = copy.deepcopy(ours)
    bare.model.localization = None
    cells = _predictor(bare, args, state, folder)
    theirs, whole = (
        _stock_detector(stock, model, state, args.device)
        for model in (stock.model, at_full_size(stock.model))
    )
    planned = plan_run(folder / "train", named.channels, RunOptions(folder / "unused")).images
    planned = planned[: args.rounds + 1]

    def by_stock(model: Any, image: Any) -> Any:
        found = inference_detector(model, str(folder / "rgba" / f"{image.image_id}.png"))
        masks = found.pred_instances.masks.cpu().numpy()
        return [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]

    calls: dict[str, Callable[[Any], Any]] = {
        "ours": lambda image: _by_ours(named, folder, image),
        "ours, outlines grown": lambda image: _by_ours(whole_way, folder, image),
        "ours, cells without names": lambda image: _by_ours(cells, folder, image),
        "stock": lambda image: by_stock(theirs, image),
        "stock that sees every pixel": lambda image: by_stock(whole, image),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for image in planned:
        for name, call in calls.items():
            started = clock(args.device)
            call(image)
            seconds[name].append(clock(args.device) - started)
    return _compared("image_ms", {name: found[1:] for name, found in seconds.items()})


def clock(device: str) -> float:
    """Seconds: of this process's processors on a CPU, which others may use too; else of the wall."""
    return time.process_time() if torch.device(device).type == "cpu" else time.perf_counter()


def _weights(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Give the checkpoint's tensors, else random ones that all models share."""
    torch.manual_seed(0)
    model: Any = MODELS.build(config.model)
    state: dict[str, Any] = model.state_dict()
    if args.checkpoint:
        found = load_checkpoint_strict(args.checkpoint)["state_dict"]
        state = {key: found[key] for key in state}
    return state


def _predictor(
    config: Config, args: argparse.Namespace, state: Any, folder: Path, clean: str = "none"
) -> Predictor:
    own = MODELS.build(config.model).state_dict()
    path = folder / "weights.pth"  # of each in turn
    torch.save({"state_dict": {key: state[key] for key in own}}, path)
    return Predictor(config, path, device=args.device, amp=args.amp, clean=clean)


def _stock_detector(config: Config, model: ConfigDict, weights: Any, device: str) -> Any:
    detector = MODELS.build(model).to(device).eval()
    detector.load_state_dict({key: weights[key] for key in detector.state_dict()})
    detector.cfg = config
    return detector


def _by_ours(predictor: Predictor, folder: Path, image: Any) -> str:
    stream = ImageStream(predictor, folder / "train", ())
    prepared = stream.prepare(image)
    found = predictor.view_maker.read(prepared.request, predictor.detect([prepared])[0])
    named = [] if found.naming is None else predictor.detect([found.naming])[0]
    return line_of(stream.finish(image, prepared.request, found, named))


def _compared(what: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Give the medians in ms, and each stock model's as so many times each of ours."""
    middle = {name: median(found) for name, found in seconds.items()}
    return {
        what: {name: round(1000 * found, 1) for name, found in middle.items()},
        "times as long": {
            f"{stock} / {ours}": round(middle[stock] / middle[ours], 2)
            for stock in middle
            for ours in middle
            if stock.startswith("stock") and ours.startswith("ours")
        },
    }
