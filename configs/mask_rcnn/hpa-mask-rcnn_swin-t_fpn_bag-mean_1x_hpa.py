# What: Swin-T in place of ResNet-50, all else as hpa-mask-rcnn_r50_fpn_bag-mean_1x_hpa.py.
_base_ = [
    "../_base_/models/hpa-mask-rcnn_swin-t_fpn.py",
    "../_base_/datasets/hpa_instance.py",
    "../_base_/schedules/detect-then-fit_1x.py",
    "../_base_/default_runtime.py",
]
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
