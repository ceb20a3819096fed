"""Predictions as COCO results: one entry per cell."""

import json

from hpa_mmdet.inference.outputs.base import Images, Output


class CocoOutput(Output):
    """cells.json: a JSON list as `COCO.loadRes` of pycocotools reads it.

    Each entry has `image_id` (the image's place in the order of ids, from 1, as
    tools/convert_coco.py numbers the same folder), `hpa_id`, `category_id` (the likeliest
    class, 1-based), `bbox` [x, y, w, h], `segmentation`, `score` (p(cell)), `cell_id`
    where the cell was given, and `localization_scores`, p(k | cell) of the 19 classes.
    """

    names = ("cells.json",)

    def finish(self, images: Images) -> list[str]:
        """Write the list."""
        begin = "[\n"
        with (
            self.run.writing(self.names[0]) as temporary,
            temporary.open("w", encoding="utf-8") as out,
        ):
            for number, stored in enumerate(images(), start=1):
                for cell in stored.prediction.cells:
                    entry = {
                        "image_id": number,
                        "hpa_id": stored.prediction.image_id,
                        "category_id": int(cell.localization_scores.argmax()) + 1,
                        "bbox": list(cell.bbox_xywh),
                        "segmentation": cell.rle,
                        "score": cell.cell_score,
                        "cell_id": cell.cell_id,
                        "localization_scores": [
                            round(float(score), 6) for score in cell.localization_scores
                        ],
                    }
                    out.write(begin)
                    out.write(json.dumps(entry, separators=(",", ":"), allow_nan=False))
                    begin = ",\n"
            out.write("[\n]\n" if begin == "[\n" else "\n]\n")
        return []
