"""What a user can cause, said so that they can mend it."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message has four parts: `<file or row>: found X, expected Y; do Z`.

    Args:
        where: the file, row, option or value that is at fault.
        found: what is there.
        expected: what should be there.
        remedy: what the user can do, as an imperative without a final stop.

    Examples:
        >>> raise InputError("a_red.png", "no file", "one per channel", "add the file")
        Traceback (most recent call last):
            ...
        hpa_mmdet.errors.InputError: a_red.png: found no file, expected one per channel; add the file
    """

    def __init__(self, where: object, found: object, expected: object, remedy: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}; {remedy}")
        self.where = str(where)

    def __reduce__(self) -> tuple[object, ...]:
        # rebuilt from its finished text, so that worker processes can hand it back
        return (_rebuild, (str(self), self.where))


def _rebuild(message: str, where: str) -> InputError:
    error = InputError.__new__(InputError)
    ValueError.__init__(error, message)
    error.where = where
    return error
