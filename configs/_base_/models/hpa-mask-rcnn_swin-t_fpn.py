# As the ResNet-50 model, on Swin-T; a file of weights is given as there.
# Its maps have their channels last and it takes pictures of any size.
_base_ = ["./hpa-mask-rcnn_r50_fpn.py"]
_base_.model.backbone.model_name = "swin_tiny_patch4_window7_224"
_base_.model.backbone.weights = "timm"
_base_.model.backbone.out_indices = (0, 1, 2, 3)
_base_.model.backbone.options = dict(strict_img_size=False)
_base_.model.localization.backbone.model_name = "swin_tiny_patch4_window7_224"
_base_.model.localization.backbone.weights = "timm"
_base_.model.localization.backbone.out_indices = (0, 1, 2, 3)
_base_.model.localization.backbone.options = dict(strict_img_size=False)
_base_.model.neck.in_channels = [96, 192, 384, 768]
_base_.model.localization.feature_dim = 2 * (96 + 192 + 384 + 768)
