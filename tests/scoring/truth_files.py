"""Truth files of drawn images, as tools/convert_coco.py writes them."""

from typing import Any

from contest_by_hand import DrawnImage, rle

from hpa_mmdet.localizations import LOCALIZATIONS


def coco(images: list[DrawnImage], *, per_label: bool = False) -> dict[str, Any]:
    """The images as convert_coco writes them; ids with gaps."""
    content: dict[str, Any] = {"images": [], "annotations": [], "info": {}}
    content["categories"] = [
        {"id": known.hpa_index + 1, "name": known.name, "hpa_index": known.hpa_index}
        for known in LOCALIZATIONS
    ]
    for image in images:
        coco_id = 10 * int(image.image_id)
        labels = sorted({k for _, classes in image.cells for k in classes})
        height, width = image.shape_hw
        size = {"width": width, "height": height}
        entry = {"id": coco_id, "hpa_id": image.image_id, "file_name": "x.png", **size}
        content["images"].append({**entry, "labels": labels})
        for cell_id, (mask, classes) in enumerate(image.cells, start=3):
            counts = rle(mask)["counts"].decode()
            cell = {"image_id": coco_id, "cell_id": cell_id, "iscrowd": 0}
            cell["segmentation"] = {"size": [height, width], "counts": counts}
            sets = [[k + 1] for k in sorted(classes)] if per_label else [[k + 1 for k in classes]]
            for ids in sets:
                number = len(content["annotations"]) + 1
                one = {**cell, "id": number, "category_id": ids[0], "category_ids": ids}
                content["annotations"].append(one)
    return content
