# What: rung 1 of the ladder: one convolution and max-pooling in each stage.
_base_ = ["../_base_/crops_ladder.py"]
