# What: the contest's images (2048 pixels and more) on a machine without a GPU. The detector
# sees them at a quarter, the localization branch at half of their size.
# Needs $HPA_DATA with train.json from tools/convert_coco.py and the channel files in train/.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.model.data_preprocessor.pad_size_divisor = 128
_base_.model.backbone.input_stride = 4
_base_.model.rpn_head.anchor_generator.strides = [16, 32, 64, 128]
_base_.model.roi_head.bbox_roi_extractor.featmap_strides = [16, 32, 64, 128]
_base_.model.roi_head.bbox_roi_extractor.finest_scale = 448
_base_.model.roi_head.mask_roi_extractor.featmap_strides = [16, 32, 64, 128]
_base_.model.roi_head.mask_roi_extractor.finest_scale = 448
_base_.model.localization.backbone.input_stride = 2
