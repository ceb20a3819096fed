"""mmdet is imported by these tests, so mmcv's operators must be there first."""

from hpa_mmdet.compat import prepare

prepare()
