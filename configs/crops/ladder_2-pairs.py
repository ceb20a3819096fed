# What: rung 2: pairs of convolutions.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.backbone.convs = 2
