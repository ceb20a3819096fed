"""Data and models of bench_train.py: drawn images, our config on them, and stock mmdet."""

import argparse
import json
from pathlib import Path
from typing import Any

from hpa_mmdet.compat import prepare

prepare()
import numpy as np  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from peer import stock_model  # noqa: E402
from PIL import Image  # noqa: E402

from hpa_mmdet.cli.synthesize import main as synthesize  # noqa: E402
from hpa_mmdet.io.channels import ImageFiles, read_channels  # noqa: E402

_FIELD_UM = 160  # side of a drawn field, so that any size in pixels holds as many cells


def draw_images(folder: Path, args: argparse.Namespace) -> None:
    """Draw the training images, where the folder has none yet."""
    if (folder / "truth/train/cells.json").is_file():
        return
    numbers = {"--images": args.images, "--test-images": 1, "--workers": args.draw_workers}
    words = [str(folder), "--size", str(args.size), str(args.size)]
    words += ["--pixel-um", str(_FIELD_UM / args.size), "--overwrite"]
    words += [str(word) for pair in numbers.items() for word in pair]
    assert synthesize(words) == 0


def our_config(folder: Path, args: argparse.Namespace, cache: Path | None) -> Config:
    """Read the config and point its training loader at the drawn images."""
    config = Config.fromfile(args.config)
    loader = config.train_dataloader
    loader.dataset.ann_file = str(folder / "truth/train/cells.json")
    loader.dataset.data_prefix.img = str(folder / "train")
    load = loader.dataset.pipeline[0]
    load.update(scale=args.scale, cache=None if cache is None else str(cache))
    if args.peer:  # as mmdet's own: images of one size
        flip = dict(type="HorizontalFlip", p=0.5)
        loader.dataset.pipeline[2] = dict(type="AlbumentationsBridge", transforms=[flip])
    _set_loader(loader, args)
    for backbone in (config.model.backbone, (config.model.localization or {}).get("backbone")):
        if backbone is not None:
            backbone.weights = None  # of no matter to the time
    return config


def stock_config(folder: Path, args: argparse.Namespace) -> Config:
    """Give mmdet's own Mask R-CNN on our config's backbone, its own loader and RGBA files."""
    config = our_config(folder, args, None)
    config.model = stock_model(config.model)
    path = folder / "stock.json"
    content = json.loads((folder / "truth/train/cells.json").read_bytes())
    for image in content["images"][: args.images]:
        image["file_name"] = f"{image['hpa_id']}.png"
        _write_rgba(folder, image)
    content["categories"] = [{"id": 1, "name": "cell"}]
    for cell in content["annotations"]:
        cell["category_id"] = 1
    path.write_text(json.dumps(content), encoding="utf-8")
    load = dict(type="LoadImageFromFile", color_type="unchanged")
    resize = dict(type="Resize", scale_factor=args.scale, keep_ratio=True)
    kept = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    config.train_dataloader.dataset = ConfigDict(
        type="CocoDataset",
        ann_file=str(path),
        data_prefix=dict(img=str(folder / "rgba")),
        metainfo=dict(classes=["cell"]),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            load,
            dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
            resize,
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
        ],
    )
    config.test_pipeline = [load, resize, dict(type="PackDetInputs", meta_keys=kept)]
    config.test_dataloader = dict(dataset=dict(pipeline=config.test_pipeline))
    _set_loader(config.train_dataloader, args)
    return config


def _set_loader(loader: Any, args: argparse.Namespace) -> None:
    loader.update(
        batch_size=args.batch_size,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        pin_memory=args.device != "cpu",
    )
    # batches without end, so that the start of an epoch does not fall into the timing
    loader.dataset.indices = args.images
    loader.sampler = ConfigDict(type="InfiniteSampler", shuffle=True, seed=0)


def _write_rgba(folder: Path, image: dict[str, Any]) -> None:
    paths = {name: folder / "train" / file for name, file in image["channel_files"].items()}
    pixels = read_channels(ImageFiles(image["hpa_id"], paths), tuple(paths))
    (folder / "rgba").mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(folder / "rgba" / image["file_name"])
