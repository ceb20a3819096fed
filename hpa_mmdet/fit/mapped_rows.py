"""Rows of several .safetensors files as one array that is read where it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

_MAPPED_BYTES = 2**28
"""After reading so many bytes the files are mapped anew, which gives their pages back."""


class MappedRows:
    """The tensors of one name in several files, one after the other; rows come as float32.

    Args:
        paths: .safetensors files.
        name: of a two-dimensional tensor in each of them, all of one width.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.paths, self.name = tuple(paths), name
        shapes = [self._open(path).get_shape() for path in self.paths]
        self._first = np.cumsum([0, *(shape[0] for shape in shapes)])
        self.shape = (int(self._first[-1]), int(shapes[0][1]))
        self._mapped: dict[int, Any] = {}
        self._read_bytes = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read rows, (n,) numbers or (N,) bool; quickest where neighbours follow each other."""
        wanted = (rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows).numpy()
        if not len(wanted):
            return torch.zeros(0, self.shape[1])
        file_of = np.searchsorted(self._first, wanted, side="right") - 1
        breaks = np.flatnonzero((np.diff(wanted) != 1) | (np.diff(file_of) != 0)) + 1
        starts = np.concatenate(([0], breaks))
        ends = np.append(breaks, len(wanted))
        parts = [
            self._read(int(file_of[start]), int(wanted[start]), int(end - start))
            for start, end in zip(starts, ends, strict=True)
        ]
        return torch.from_numpy(np.concatenate(parts)).float()

    def _read(self, file: int, row: int, count: int) -> Any:
        if self._read_bytes > _MAPPED_BYTES:
            self._mapped.clear()
            self._read_bytes = 0
        if file not in self._mapped:
            self._mapped[file] = self._open(self.paths[file])
        first = row - int(self._first[file])
        found = self._mapped[file][first : first + count]
        self._read_bytes += found.nbytes
        return found

    def _open(self, path: Path) -> Any:
        return safe_open(path, "np").get_slice(self.name)
