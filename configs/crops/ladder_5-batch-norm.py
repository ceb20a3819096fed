# What: rung 5: batch normalization, before the ReLU; "after" is the other way.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.backbone.norm = "before"
