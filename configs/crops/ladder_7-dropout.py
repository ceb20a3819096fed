# What: rung 7: dropout in the stages and the dense layer.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.backbone.norm = "before"
_base_.model.backbone.filters = (32, 64, 128, 64)
_base_.model.backbone.dropout = 0.1
_base_.model.localization.dropout = 0.5
