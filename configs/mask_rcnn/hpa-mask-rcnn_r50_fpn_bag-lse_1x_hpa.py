# What: the real thing, on a GPU, with the contest's data (2048-pixel images, four channels).
# Needs $HPA_DATA with train.json from tools/convert_coco.py, parted by tools/split_coco.py,
# and the channel files in train/.
_base_ = ["../_base_/models/hpa-mask-rcnn_r50_fpn.py", "../_base_/hpa_1x.py"]
