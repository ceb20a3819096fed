"""From a model's output to files: masks pasted as runs, cells, predictor, outputs."""
