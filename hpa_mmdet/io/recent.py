"""What was used last, within a bound of memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any] | None


class Recent:
    """Keeps arrays by name; the least recently used go first.

    Args:
        max_bytes: of all that is kept; a larger array is given, and not kept.

    Examples:
        >>> import numpy as np
        >>> recent = Recent(10)
        >>> for name in "aba":
        ...     _ = recent.get(name, lambda: print("made") or np.zeros(5, "u1"))
        made
        made
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._kept: OrderedDict[Hashable, Array] = OrderedDict()

    def get(self, name: Hashable, make: Callable[[], Array]) -> Array:
        """Give the array of this name, made if it is not there."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        array = make()
        size = 0 if array is None else array.nbytes
        if size <= self.max_bytes:
            self._kept[name] = array
            self.bytes += size
        while self.bytes > self.max_bytes:
            _, old = self._kept.popitem(last=False)
            self.bytes -= 0 if old is None else old.nbytes
        return array
