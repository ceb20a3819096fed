# What: ConvNeXt-T on crops of 224 pixels, for a GPU and the contest's data. Needs $HPA_DATA
# with the stores train_train_crops and train_val_crops of tools/extract_crops.py, and
# train_val.json. Weights from a file: --cfg-options model.backbone.weights=convnext_tiny.pth
_base_ = ["../_base_/models/crop-classifier_lite0.py", "../_base_/crops_1x.py"]
_base_.model.data_preprocessor.crop = _base_.crop
_base_.model.backbone.model_name = "convnext_tiny"
_base_.model.backbone.weights = "timm"
_base_.model.backbone.out_indices = (0, 1, 2, 3)
_base_.optim_wrapper.paramwise_cfg = dict(
    norm_decay_mult=0.0,
    custom_keys={
        "backbone": dict(lr_mult=0.05),
        "backbone.network.stages_2": dict(lr_mult=0.1),
        "backbone.network.stages_3": dict(lr_mult=0.2),
    },
)
