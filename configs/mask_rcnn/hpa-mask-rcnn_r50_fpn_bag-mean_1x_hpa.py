# What: the real thing, on a GPU, with the contest's data (2048-pixel images, four channels).
# Needs $HPA_DATA with train.json from tools/convert_coco.py and the channel files in train/.
_base_ = [
    "../_base_/models/hpa-mask-rcnn_r50_fpn.py",
    "../_base_/datasets/hpa_instance.py",
    "../_base_/schedules/detect-then-fit_1x.py",
    "../_base_/default_runtime.py",
]
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
