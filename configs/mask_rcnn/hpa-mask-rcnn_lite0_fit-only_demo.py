# What: no detector's epochs: only the localization heads are fitted, on the cells of the JSON
# (a segmenter's masks). For prediction with given masks (tools/infer.py --instances masks).
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.train_cfg.max_epochs = 0
param_scheduler = None  # there are no steps to schedule
