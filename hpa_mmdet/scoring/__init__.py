"""Scores on files: the contest metric, single cells, whole images, detection (numpy only)."""
