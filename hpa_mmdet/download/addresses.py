"""Where the channels of an image are on the web: from a table of ids or of addresses.

The Atlas serves each channel as a JPEG, drawn in its colour, under
`<antibody number>/<id>_<channel>.jpg`; the antibody number is that of `HPA005910` or
`CAB002506` without letters and leading zeros. Some images carry a crop's mark between id
and channel (`1843_B2_17_cr5af971a263864_blue.jpg`), which only the XML page of their gene
tells.

Source: addresses as `cellmaps_imagedownloader` 0.3 (MIT) builds them, and those that the
Atlas's XML pages list in `<imageUrl>`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_tables import ID_COLUMNS
from hpa_mmdet.io.naming import CHANNELS_ENDING, check_image_id, image_id_of_address
from hpa_mmdet.io.table_rows import read_column_names, read_rows

ATLAS_TEMPLATE = "https://images.proteinatlas.org/{antibody_number}/{id}_{channel}.jpg"
GENE_TEMPLATE = "https://www.proteinatlas.org/{gene}.xml"
URL_COLUMNS = ("url", "URL", "Url", "image_url", "imageUrl", "linkprefix")
GENE_COLUMNS = ("gene", "Gene", "ensembl_ids", "Ensembl", "ensembl_id")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")

_COLOURS = "red|green|blue|yellow"
_PLATE_COLUMNS = ("if_plate_id", "position", "sample")


class Wanted(NamedTuple):
    """One file to fetch; `gene` is where to look when it is not at `url`, or empty."""

    image_id: str
    channel: str
    url: str
    gene: str = ""

    @property
    def suffix(self) -> str:
        """The ending of the served file, lower case, with its dot."""
        return PurePosixPath(urlsplit(self.url).path).suffix.lower()

    @property
    def served_name(self) -> str:
        """The name under which the served bytes are known: `<id>_<channel>.<ending>`."""
        return f"{self.image_id}_{self.channel}{self.suffix}"


class Table(NamedTuple):
    """What a table asks for, and the problem of each row that cannot be used."""

    wanted: list[Wanted]
    problems: dict[str, InputError]


def read_wanted(path: Path, channels: Sequence[str], template: str = ATLAS_TEMPLATE) -> Table:
    """Read a table of ids or addresses.

    A row's address is taken from a column of `URL_COLUMNS`, from an id that is an address,
    or made by the template. The id may be given in parts, as if_plate_id, position and
    sample.

    Args:
        path: CSV with a header.
        channels: channels to fetch of each image.
        template: address with fields in braces: {id}, {channel}, {antibody_number}, or any
            column of the table.

    Raises:
        InputError: the table cannot be read, or has neither ids nor addresses.
    """
    table = Table([], {})
    seen: set[str] = set()
    for where, row, problem in _rows(path):
        name = where
        try:
            if problem is not None:
                raise problem
            image_id, addresses = _addresses(row, channels, template, where)
            name = image_id
            if image_id in seen:
                raise InputError(where, f"{image_id} again", "one row per image", "drop the row")
            seen.add(image_id)
            gene = _first(row, GENE_COLUMNS)
            gene = re.split(r"[,;|\s]", gene)[0]
            table.wanted.extend(
                Wanted(image_id, channel, url, gene) for channel, url in addresses.items()
            )
        except InputError as error:
            table.problems[name if name not in seen else where] = error
    if not table.wanted and not table.problems:
        raise InputError(path, "no rows", "one row per image", "check the table")
    return table


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str], InputError | None]]:
    fields = read_column_names(path)
    if not {*ID_COLUMNS, *URL_COLUMNS} & {*fields} and not {*_PLATE_COLUMNS} <= {*fields}:
        raise InputError(
            path,
            f"columns {','.join(fields)}",
            f"{ID_COLUMNS[0]}, {URL_COLUMNS[0]} or {', '.join(_PLATE_COLUMNS)}",
            "rename the columns",
        )
    for where, texts, problem in read_rows(path, *((field,) for field in fields)):
        yield where, dict(zip(fields, texts, strict=True)), problem


def _addresses(
    row: Mapping[str, str], channels: Sequence[str], template: str, where: str
) -> tuple[str, dict[str, str]]:
    address = _first(row, URL_COLUMNS)
    id_text = _first(row, ID_COLUMNS)
    if not id_text and all(row.get(column) for column in _PLATE_COLUMNS):
        id_text = "_".join(row[column] for column in _PLATE_COLUMNS)
    if not address and "://" in id_text:
        address = id_text
    if "://" in id_text or not id_text:
        id_text = image_id_of_address(address)
    image_id = check_image_id(id_text, where)
    if address:
        return image_id, {channel: channel_address(address, channel, where) for channel in channels}
    fields = {**row, "id": image_id}
    return image_id, {
        channel: fill(template, {**fields, "channel": channel}, where) for channel in channels
    }


def _first(row: Mapping[str, str], columns: Sequence[str]) -> str:
    return next((row[column] for column in columns if row.get(column)), "")


def channel_address(address: str, channel: str, where: object = "address") -> str:
    """Give the address of one channel from that of an image.

    Args:
        address: holds {channel}, or ends like `_blue.jpg` or `_blue_red_green.jpg`, or is
            what stands before the channel, such as `.../921_B9_1_`.
        channel: its name.
        where: what an error names.

    Raises:
        InputError: the address is none of these, or not http.

    Examples:
        >>> channel_address("https://a.org/41/18_B2_1_blue_red_green.jpg", "yellow")
        'https://a.org/41/18_B2_1_yellow.jpg'
        >>> channel_address("https://a.org/41/18_B2_1_", "red")
        'https://a.org/41/18_B2_1_red.jpg'
    """
    if "{channel}" in address:
        found = address.replace("{channel}", channel)
    elif ending := CHANNELS_ENDING.search(address):
        found = f"{address[: ending.start()]}_{channel}{ending[1]}"
    elif not PurePosixPath(urlsplit(address).path).suffix:
        found = f"{address.rstrip('_')}_{channel}.jpg"
    else:
        raise InputError(
            where,
            f"address {address}",
            "one that ends with a channel, as _blue_red_green.jpg, or holds {channel}",
            "give the address of the picture of all channels",
        )
    return check_address(found, where)


def fill(template: str, fields: Mapping[str, str], where: object) -> str:
    """Fill the fields in braces of an address, quoted for it.

    Raises:
        InputError: a field is not known or empty, or the result is no http address.

    Examples:
        >>> fill("http://a.org/{antibody_number}/{id}.jpg", {"antibody": "HPA0059", "id": "7"}, "")
        'http://a.org/59/7.jpg'
    """
    known = dict(fields)
    if known.get("antibody"):
        known.setdefault("antibody_number", re.sub(r"^(HPA|CAB)0*", "", known["antibody"]))

    def value(match: re.Match[str]) -> str:
        if not known.get(match[1]):
            column = "antibody" if match[1] == "antibody_number" else match[1]
            raise InputError(
                where, f"no {column}", f"a column for {{{match[1]}}} of the address", "add it"
            )
        return quote(known[match[1]], safe="")

    return check_address(re.sub(r"\{(\w+)\}", value, template), where)


def check_address(url: str, where: object) -> str:
    """Give the address back if it is one of a picture that can be fetched.

    Raises:
        InputError: it is not http, or its ending is no picture's.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(where, f"address {url}", "http://... or https://...", "correct it")
    if PurePosixPath(parts.path).suffix.lower() not in (*PICTURE_SUFFIXES, ".xml"):
        raise InputError(
            where,
            f"address {url}",
            f"a file ending with {', '.join(PICTURE_SUFFIXES)}",
            "correct it",
        )
    return url


def find_in_gene_page(page: str, image_id: str, channel: str) -> str | None:
    """Find an image in the XML page of its gene; None if the page does not list it.

    Examples:
        >>> page = "<imageUrl>http://a.org/41/18_B2_17_cr5af9_blue_red_green.jpg</imageUrl>"
        >>> find_in_gene_page(page, "18_B2_17", "red")
        'http://a.org/41/18_B2_17_cr5af9_red.jpg'
    """
    found = re.search(
        rf"<imageUrl>\s*(https?://[^<\s]+/{re.escape(image_id)}(?:_cr[0-9a-f]+)?"
        rf"_(?:{_COLOURS})[^<\s]*)\s*</imageUrl>",
        page,
    )
    return None if found is None else channel_address(found[1], channel, "gene page")
