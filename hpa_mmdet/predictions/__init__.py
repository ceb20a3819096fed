"""Predicted cells: what they hold, which of them are called, and how they are drawn."""
