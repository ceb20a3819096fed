# What: as the ConvNeXt-T classifier, on ResNet-18; a file of weights is given as there.
_base_ = ["../_base_/models/crop-classifier_lite0.py", "../_base_/crops_1x.py"]
_base_.model.data_preprocessor.crop = _base_.crop
_base_.model.backbone.model_name = "resnet18"
_base_.model.backbone.weights = "torchvision"
_base_.optim_wrapper.paramwise_cfg = dict(
    norm_decay_mult=0.0,
    custom_keys={
        "backbone": dict(lr_mult=0.05),
        "backbone.network.layer3": dict(lr_mult=0.1),
        "backbone.network.layer4": dict(lr_mult=0.2),
    },
)
