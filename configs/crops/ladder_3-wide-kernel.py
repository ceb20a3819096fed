# What: rung 3: a wide first kernel.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.backbone.first_kernel = 9
