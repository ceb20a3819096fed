"""What lets mmdet run on today's torch without a compiler.

`prepare()` is called when `hpa_mmdet.models` or `hpa_mmdet.datasets` is imported, before
anything imports mmcv.ops or albumentations.
"""

from hpa_mmdet.compat.prepare import prepare

__all__ = ["prepare"]
