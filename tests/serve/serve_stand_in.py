"""A stand-in for the model: cells are bright patches of blue; commands hide in the size.

It is built in the model's process, so everything here can be imported there.
"""

import os
import time
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from hpa_mmdet.coco.runs import encode_label_image
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cells import CellPrediction
from hpa_mmdet.serve.analysis import Analyser, ModelFacts
