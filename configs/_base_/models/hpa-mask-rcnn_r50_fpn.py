# Mask R-CNN on ResNet-50 for a GPU and the contest's 2048-pixel images. The detector sees
# the image at half size, the localization branch the green channel alone at full size.
# ImageNet weights come through torchvision, or from a file:
#   --cfg-options model.backbone.weights=resnet50.pth model.localization.backbone.weights=resnet50.pth
_base_ = ["./hpa-mask-rcnn_lite0_fpn.py"]
_base_.model.data_preprocessor.pad_size_divisor = 128
_base_.model.backbone.model_name = "resnet50"
_base_.model.backbone.weights = "torchvision"
_base_.model.neck.in_channels = [256, 512, 1024, 2048]
_base_.model.neck.out_channels = 256
_base_.model.neck.num_outs = 5
_base_.model.rpn_head.in_channels = 256
_base_.model.rpn_head.feat_channels = 256
_base_.model.rpn_head.anchor_generator.scales = [8]
_base_.model.rpn_head.anchor_generator.strides = [8, 16, 32, 64, 128]
_base_.model.roi_head.bbox_roi_extractor.out_channels = 256
_base_.model.roi_head.bbox_head.in_channels = 256
_base_.model.roi_head.bbox_head.fc_out_channels = 1024
_base_.model.roi_head.mask_roi_extractor.out_channels = 256
_base_.model.roi_head.mask_head.num_convs = 4
_base_.model.roi_head.mask_head.in_channels = 256
_base_.model.roi_head.mask_head.conv_out_channels = 256
_base_.model.localization.feature_dim = 2 * (256 + 512 + 1024 + 2048)
_base_.model.localization.backbone.model_name = "resnet50"
_base_.model.localization.backbone.weights = "torchvision"
_base_.model.train_cfg.rpn.sampler.num = 256
_base_.model.train_cfg.rpn_proposal.nms_pre = 2000
_base_.model.train_cfg.rpn_proposal.max_per_img = 1000
_base_.model.train_cfg.rcnn.sampler.num = 512
_base_.model.train_cfg.rcnn.sampler.pos_fraction = 0.25
_base_.model.test_cfg.rpn.nms_pre = 1000
_base_.model.test_cfg.rpn.max_per_img = 1000
_base_.model.test_cfg.rcnn.max_per_img = 200
