"""The pages of whole runs and datasets: report of a training, gallery, statistics."""
