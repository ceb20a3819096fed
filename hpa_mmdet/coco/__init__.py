"""Label images and labels to COCO JSON and back; runs without torch.

`runs` encodes a label image, `convert` makes the dataset, `read` and `draw` give it back.
"""
