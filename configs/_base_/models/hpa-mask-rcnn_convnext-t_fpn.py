# As the ResNet-50 model, on ConvNeXt-T; a file of weights is given as there.
_base_ = ["./hpa-mask-rcnn_r50_fpn.py"]
_base_.model.backbone.model_name = "convnext_tiny"
_base_.model.backbone.weights = "timm"
_base_.model.backbone.out_indices = (0, 1, 2, 3)
_base_.model.localization.backbone.model_name = "convnext_tiny"
_base_.model.localization.backbone.weights = "timm"
_base_.model.localization.backbone.out_indices = (0, 1, 2, 3)
_base_.model.neck.in_channels = [96, 192, 384, 768]
_base_.model.localization.feature_dim = 2 * (96 + 192 + 384 + 768)
