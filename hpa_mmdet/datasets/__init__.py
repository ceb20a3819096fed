"""Datasets and their transforms, registered in mmdet's registries."""

from hpa_mmdet.compat import prepare

prepare()

from hpa_mmdet.datasets.augmentation import AlbumentationsBridge  # noqa: E402
from hpa_mmdet.datasets.bag_sampler import BalancedSampler  # noqa: E402
from hpa_mmdet.datasets.cells import HpaCellDataset  # noqa: E402
from hpa_mmdet.datasets.channel_substitution import SubstituteChannel  # noqa: E402
from hpa_mmdet.datasets.crop_bags import CropBagDataset  # noqa: E402
from hpa_mmdet.datasets.fill_cache import FillImageCache  # noqa: E402
from hpa_mmdet.datasets.loading import LoadCells, LoadHpaChannels  # noqa: E402
from hpa_mmdet.datasets.packing import PackCells  # noqa: E402

__all__ = [
    "AlbumentationsBridge",
    "BalancedSampler",
    "CropBagDataset",
    "FillImageCache",
    "HpaCellDataset",
    "LoadCells",
    "LoadHpaChannels",
    "PackCells",
    "SubstituteChannel",
]
