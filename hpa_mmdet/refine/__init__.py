"""Labels of single cells from a model's predictions, held to what the image labels say."""
