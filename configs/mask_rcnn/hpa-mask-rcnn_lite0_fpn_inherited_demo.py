# What: the plain baseline, every cell told all labels of its image. Compare with
# ..._bag-mean_demo.py.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-mean_demo.py"]
_base_.model.localization.loss = dict(type="InheritedLoss")
