# What: crops named by a tuned EfficientNet-Lite0, from image labels, on two cores.
# Needs $HPA_DATA with the store train_crops, which tools/extract_crops.py writes.
_base_ = ["../_base_/models/crop-classifier_lite0.py", "../_base_/crops.py"]
_base_.optim_wrapper.paramwise_cfg = dict(
    norm_decay_mult=0.0,
    # the deeper a stage, the more it may change
    custom_keys={
        "backbone": dict(lr_mult=0.08),
        "backbone.network.blocks.2.": dict(lr_mult=0.15),
        "backbone.network.blocks.3.": dict(lr_mult=0.2),
        "backbone.network.blocks.4.": dict(lr_mult=0.3),
        "backbone.network.blocks.5.": dict(lr_mult=0.4),
        "backbone.network.blocks.6.": dict(lr_mult=0.5),
    },
)
