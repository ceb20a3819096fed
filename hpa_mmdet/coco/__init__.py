"""The COCO JSON of cells and labels: written, read, checked, merged, split; runs without torch."""
