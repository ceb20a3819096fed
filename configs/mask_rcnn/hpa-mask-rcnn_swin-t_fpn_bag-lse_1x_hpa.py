# What: Swin-T in place of ResNet-50, all else as hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py.
_base_ = ["../_base_/models/hpa-mask-rcnn_swin-t_fpn.py", "../_base_/hpa_1x.py"]
