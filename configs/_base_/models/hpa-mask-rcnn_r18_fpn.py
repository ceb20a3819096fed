# As the ResNet-50 model, on ResNet-18; a file of weights is given as there.
_base_ = ["./hpa-mask-rcnn_r50_fpn.py"]
_base_.model.backbone.model_name = "resnet18"
_base_.model.backbone.weights = "torchvision"
_base_.model.backbone.out_indices = (1, 2, 3, 4)
_base_.model.localization.backbone.model_name = "resnet18"
_base_.model.localization.backbone.weights = "torchvision"
_base_.model.localization.backbone.out_indices = (1, 2, 3, 4)
_base_.model.neck.in_channels = [64, 128, 256, 512]
_base_.model.localization.feature_dim = 2 * (64 + 128 + 256 + 512)
