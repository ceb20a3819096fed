"""hpa-mmdet: each cell's protein localizations from images labelled only as a whole.

Importing this package imports neither torch nor the mm* packages, so that the rooms
below the model (io, coco, segment, scoring) run on any machine.
"""

__version__ = "0.1.0"
