# What: rung 4: more dense units.
_base_ = ["../_base_/crops_ladder.py"]
_base_.model.localization.hidden = 512
