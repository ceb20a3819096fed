# What: every cell is told its own labels, as tools/refine_labels.py dealt them out.
# Needs $HPA_DATA with train_refined.json beside train.json.
_base_ = ["./hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"]
_base_.model.localization.loss = dict(type="CellLoss")
_base_.train_cfg.fit.dataloader.dataset.ann_file = _base_.data_root + "/train_refined.json"
