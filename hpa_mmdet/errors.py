"""The one exception for what a user can cause and mend, and how messages list names."""

from collections.abc import Sequence
from typing import overload


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is `<where>: <problem>; <remedy>`. Where two values differ, give `found` and
    `expected`, and the problem reads "found X, expected Y".

    Args:
        where: the file, row, option or value that is at fault.
        found: what is there.
        expected: what should be there.
        remedy: what the user can do, as an imperative without a full stop.
        problem: the problem as a clause, in place of `found` and `expected`.

    Examples:
        >>> raise InputError("a_red.png", "8 bits", "16 bits", "convert the file")
        Traceback (most recent call last):
            ...
        hpa_mmdet.errors.InputError: a_red.png: found 8 bits, expected 16 bits; convert the file
        >>> raise InputError("infer", problem="--masks needs --instances masks", remedy="add it")
        Traceback (most recent call last):
            ...
        hpa_mmdet.errors.InputError: infer: --masks needs --instances masks; add it
    """

    @overload
    def __init__(self, where: object, found: object, expected: object, remedy: str) -> None: ...

    @overload
    def __init__(self, where: object, *, problem: str, remedy: str) -> None: ...

    def __init__(
        self,
        where: object,
        found: object = None,
        expected: object = None,
        remedy: str = "",
        *,
        problem: str = "",
    ) -> None:
        clause = problem or f"found {found}, expected {expected}"
        super().__init__(f"{where}: {clause}; {remedy}")
        self.where = str(where)

    def __reduce__(self) -> tuple[object, ...]:
        # rebuilt from its finished text, so that worker processes can hand it back
        return (_rebuild, (type(self), str(self), self.where))


def _rebuild(kind: type[InputError], message: str, where: str) -> InputError:
    error = kind.__new__(kind)
    ValueError.__init__(error, message)
    error.where = where
    return error


def list_some(names: Sequence[str], most: int = 5) -> str:
    """List the first names of many.

    Examples:
        >>> list_some(["a", "b", "c"], 2), list_some(["a", "b"], 2)
        ('a, b, ...', 'a, b')
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
