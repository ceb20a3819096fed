"""One run as several: `--shard i/n` gives each machine its own part of the items."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hpa_mmdet.errors import InputError

ShardItem = TypeVar("ShardItem")


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, counted from 1."""

    index: int
    count: int

    def take(self, items: Sequence[ShardItem]) -> Sequence[ShardItem]:
        """Give this shard's items: a run of neighbours, so that shards joined keep the order.

        Examples:
            >>> [Shard(index, 3).take("abcdefg") for index in (1, 2, 3)]
            ['ab', 'cd', 'efg']
        """
        total = len(items)
        return items[(self.index - 1) * total // self.count : self.index * total // self.count]

    def path_of(self, out: Path) -> Path:
        """Name this shard's file beside the whole one.

        Examples:
            >>> Shard(2, 12).path_of(Path("a.json")).name
            'a.shard-02-of-12.json'
        """
        width = len(str(self.count))
        return out.with_name(f"{out.stem}.shard-{self.index:0{width}}-of-{self.count}{out.suffix}")


def parse_shard(text: str) -> Shard:
    """Read `i/n`.

    Raises:
        InputError: it is not two whole numbers with 1 <= i <= n.

    Examples:
        >>> parse_shard("2/8")
        Shard(index=2, count=8)
    """
    fit = re.fullmatch(r"([0-9]+)/([0-9]+)", text.strip())
    if fit is None or not 1 <= int(fit[1]) <= int(fit[2]):
        raise InputError("--shard", text, "i/n with i from 1 to n, such as 2/8", "correct it")
    return Shard(int(fit[1]), int(fit[2]))
