"""What a user opens: each output is a view of the predictions on disk."""
