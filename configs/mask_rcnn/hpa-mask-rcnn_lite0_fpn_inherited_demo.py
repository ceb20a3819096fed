# What: the plain baseline, every cell told all labels of its image and nothing else. Compare
# with ..._bag-lse_demo.py.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.model.localization.loss = dict(type="InheritedLoss")
_base_.model.localization.negative = "learnt"
_base_.model.localization.image_exponent = 0.0
_base_.model.localization.cells_exponent = 0.0
_base_.train_cfg.fit.more_dataloaders = []
