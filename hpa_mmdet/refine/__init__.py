"""Labels of single cells from a model's predictions, within the labels of their image."""
