"""How files are named: templates with {id} and {channel}, and ids that are safe to use."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from hpa_mmdet.errors import InputError

_FIELD = re.compile(r"(\{id\}|\{channel\}|\*)")
_COLOURS = "red|green|blue|yellow"
CHANNELS_ENDING = re.compile(rf"_(?:{_COLOURS})(?:_(?:{_COLOURS}))*(\.\w+)$")
"""How an address ends that names one channel or several, with the file's ending."""
_CROP_MARK = re.compile(r"_cr[0-9a-f]+$")
_PLANE = re.compile(r"#(\d+)$")
_LONGEST_ID = 200  # bytes: file systems stop at 255, and the endings need some
DECOMPOSED = "id in decomposed Unicode (as macOS writes names), matched in composed form"
"""What a report says of ids that are not `is_composed`."""


class FoundFile(NamedTuple):
    """One file that fits a template; `channel` is empty where the template has none.

    The id is in composed Unicode (NFC). A `problem` says that no output can have this id.
    """

    image_id: str
    channel: str
    path: Path
    problem: InputError | None = None


class Template:
    """A name such as `{id}_{channel}.png`, read from files and written for them.

    `*` stands for anything that is neither id nor channel, `/` for folders. The ending counts
    in upper and lower case alike (`.PNG`).

    Args:
        pattern: holds {id} once and {channel} at most once.
        tokens: for each channel, the word that stands for it in names.

    Raises:
        InputError: the pattern lacks {id}, repeats a field, or leaves the folder.

    Examples:
        >>> Template("{id}-ch{channel}.tif", {"red": "1", "blue": "2"}).match("r01c02-ch2.tif")
        ('r01c02', 'blue')
    """

    def __init__(self, pattern: str, tokens: Mapping[str, str]) -> None:
        fields = _FIELD.findall(pattern)
        rest = _FIELD.sub("", pattern)
        if fields.count("{id}") != 1 or fields.count("{channel}") > 1 or set("{}") & set(rest):
            raise InputError(
                f"pattern {pattern!r}",
                f"fields {', '.join(fields) or 'none'}",
                "{id} once and {channel} at most once",
                "write it like {id}_{channel}.png",
            )
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise InputError(
                f"pattern {pattern!r}", "a way out of the folder", "names below it", "correct it"
            )
        self.pattern = pattern
        self.has_channel = "{channel}" in fields
        self.depth = pattern.count("/")
        self._tokens = dict(tokens)
        self._channel_of = {token: channel for channel, token in tokens.items()}
        words = "|".join(re.escape(word) for word in self._channel_of) or r"[^/]+"
        parts = {"{id}": r"(?P<id>[^/]+)", "{channel}": f"(?P<channel>{words})", "*": "[^/]*"}
        stem, ending = _split_ending(pattern)
        self._regex = re.compile(
            "".join(parts.get(piece, re.escape(piece)) for piece in _FIELD.split(stem))
            + f"(?i:{re.escape(ending)})"
        )

    def match(self, name: str) -> tuple[str, str] | None:
        """Give id and channel of a name with `/` between folders, or None."""
        fit = self._regex.fullmatch(name)
        if fit is None:
            return None
        return fit["id"], self._channel_of.get(fit["channel"], "") if self.has_channel else ""

    def format(self, image_id: str, channel: str) -> str:
        """Give the name of a file; what `*` stands for is left out."""
        name = self.pattern.replace("{id}", image_id).replace("*", "")
        return name.replace("{channel}", self._tokens.get(channel, channel))

    def find(self, folder: Path) -> Iterator[FoundFile]:
        """Give the files below `folder` that fit, in no particular order.

        Folders are entered only as deep as the pattern goes, so a loop of links ends.

        Raises:
            InputError: `folder` cannot be listed.
        """
        for name in _names_below(folder, self.depth):
            fit = self.match(name)
            if fit is not None:
                yield _found(folder, name, *fit)


def _found(folder: Path, name: str, image_id: str, channel: str) -> FoundFile:
    shown = _encodable(name)
    image_id, path = unicodedata.normalize("NFC", _encodable(image_id)), folder / shown
    if shown != name:
        problem = InputError(
            path,
            problem="has a file name that is not UTF-8",
            remedy="rename the files to UTF-8",
        )
    elif len(image_id.encode()) > _LONGEST_ID:
        problem = InputError(
            path,
            f"an id of {len(image_id.encode())} bytes",
            f"at most {_LONGEST_ID}",
            "shorten the name of the file",
        )
        image_id = f"{image_id[:40]}...{image_id[-20:]}"
    else:
        return FoundFile(image_id, channel, path)
    return FoundFile(image_id, channel, path, problem)


def _encodable(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _names_below(folder: Path, depth: int, prefix: str = "") -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except NotADirectoryError:
        if prefix:
            return  # a file where the pattern has a folder
        raise InputError(folder, "a file", "a folder", "check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(folder, reason, "a folder that can be listed", "check the path") from error
    for name in names:
        if depth:
            yield from _names_below(folder / name, depth - 1, f"{prefix}{name}/")
        else:
            yield prefix + name


def _split_ending(pattern: str) -> tuple[str, str]:
    """Split off what follows the last field, from its first dot."""
    last = [field.end() for field in _FIELD.finditer(pattern)][-1]
    dot = pattern.find(".", last)
    return (pattern, "") if dot < 0 or "/" in pattern[dot:] else (pattern[:dot], pattern[dot:])


def is_composed(text: str) -> bool:
    """Whether a text is in composed Unicode (NFC), as keyboards and most systems write it."""
    return unicodedata.is_normalized("NFC", text)


def parse_channels(words: Sequence[str]) -> dict[str, str]:
    """Read `--channels` into channel -> word in file names.

    `red` is found under its own name, `red=w2` under `w2`; `_` is a plane to skip.

    Raises:
        InputError: a channel or a word comes twice, or nothing is left.

    Examples:
        >>> parse_channels(["red=w2", "green"])
        {'red': 'w2', 'green': 'green'}
    """
    pairs = [word.split("=", 1) if "=" in word else [word, word] for word in words]
    named = [(channel, token) for channel, token in pairs if channel != "_"]
    channels, tokens = [pair[0] for pair in named], [pair[1] for pair in named]
    if not named or len({*channels}) < len(named) or len({*tokens}) < len(named):
        raise InputError(
            "--channels", " ".join(words) or "nothing", "each channel and word once", "correct it"
        )
    return dict(named)


def image_id_of_address(address: str) -> str:
    """Give the id of an image from its address on the Atlas's site.

    The address may be that of one channel, of the picture of several, or what stands before
    the channel; a crop's mark (`_cr5af971a263864`) is no part of the id.

    Examples:
        >>> image_id_of_address("https://images.proteinatlas.org/10005/921_B9_1_")
        '921_B9_1'
        >>> image_id_of_address("https://a.org/41/1843_B2_17_cr5af97_blue_red_green.jpg?size=2")
        '1843_B2_17'
    """
    name = PurePosixPath(urlsplit(address).path).name.replace("{channel}", "green")
    return _CROP_MARK.sub("", CHANNELS_ENDING.sub("", name).rstrip("_"))


def check_image_id(text: str, where: object) -> str:
    """Give the image id of a table's cell, in composed Unicode (NFC).

    An address stands for the image there.

    Raises:
        InputError: the id is empty, too long, or would lead out of a folder.

    Examples:
        >>> check_image_id("https://images.proteinatlas.org/10005/921_B9_1_", "row 2")
        '921_B9_1'
    """
    image_id = unicodedata.normalize("NFC", text.strip())
    if "://" in image_id:
        with suppress(ValueError):  # no address after all: refused below for its slashes
            image_id = image_id_of_address(image_id)
    unsafe = set(image_id) & {"/", "\\", ":"} or not image_id.isprintable()
    if unsafe or image_id in ("", ".", "..") or len(image_id.encode()) > _LONGEST_ID:
        raise InputError(
            where,
            f"image id {image_id[:80]!r}",
            "a file name without folders",
            "give the name that the image's files start with",
        )
    return image_id


def with_plane(name: str, plane: int) -> str:
    """Name one plane of a file that holds several channels, as `name#plane`, from 0."""
    return f"{name}#{plane}"


def split_plane(path: Path) -> tuple[Path, int | None]:
    """Undo `with_plane`; None where the path names a whole file.

    Examples:
        >>> split_plane(Path("a.ome.tif#2"))[1]
        2
    """
    fit = _PLANE.search(path.name)
    if fit is None or path.exists():
        return path, None
    return path.with_name(path.name[: fit.start()]), int(fit[1])
