# What: rung 6: filter counts that grow and shrink again.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.backbone.norm = "before"
_base_.model.backbone.filters = (32, 64, 128, 64)
