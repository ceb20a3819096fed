"""Decisions outlive crashes, and two servers may share one table."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import Decision, read_decisions
from hpa_mmdet.serve.review_store import ReviewStore

SAID = Decision("a0", 1, (0, 16), "", "Anna", "2026-11-26T14:20:00Z")


def test_decision_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "new" / "cells.csv")
    store.append([SAID, SAID._replace(cell_id=2)])
    assert store.path.read_text() == (
        "ID,cell_id,cell_labels,reviewer,time\n"
        "a0,1,0|16,Anna,2026-11-26T14:20:00Z\n"
        "a0,2,0|16,Anna,2026-11-26T14:20:00Z\n"
    )


def test_two_servers_see_each_other(tmp_path: Path) -> None:
    one, other = ReviewStore(tmp_path / "cells.csv"), ReviewStore(tmp_path / "cells.csv")
    one.append([SAID])
    other.append([SAID._replace(reviewer="Ben", labels=(3,))])
    one.refresh()
    assert set(one.current()[SAID.key]) == set(other.current()[SAID.key]) == {"Anna", "Ben"}


def test_undo_takes_back_the_last_that_counts(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "cells.csv")
    store.append([SAID, SAID._replace(cell_id=2), SAID._replace(reviewer="Ben")])
    assert store.undo("Anna") == SAID._replace(cell_id=2)
    assert store.undo("Anna") == SAID
    assert store.undo("Anna") is None
    assert list(ReviewStore(store.path).current()) == [SAID.key]  # Ben's
    assert store.undo("Ben") == SAID._replace(reviewer="Ben")


def test_undo_after_a_change_of_mind_leaves_nothing(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "cells.csv")
    store.append([SAID, SAID._replace(labels=(5,))])
    assert store.undo("Anna") == SAID._replace(labels=(5,))
    assert store.current() == {}
    assert store.undo("Anna") is None


def test_cut_row_of_a_crash_is_removed_and_the_table_goes_on(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "cells.csv")
    store.append([SAID])
    with store.path.open("a") as file:
        file.write("a0,2,5,An")
    again = ReviewStore(store.path)
    again.append([SAID._replace(cell_id=3)])
    assert [said.cell_id for said in read_decisions(store.path)] == [1, 3]
    assert "An\n" not in store.path.read_text()


def test_other_table_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("ID,Label\na,1\n")
    with pytest.raises(InputError, match="has not the columns"):
        ReviewStore(path)
    assert path.read_text() == "ID,Label\na,1\n"


def test_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        ReviewStore(tmp_path / "file" / "cells.csv")


def test_killed_server_loses_no_acknowledged_decision(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from hpa_mmdet.io.decisions import Decision
from hpa_mmdet.serve.review_store import ReviewStore
store = ReviewStore(Path({str(tmp_path / "cells.csv")!r}))
for number in range(1, 100_000):
    store.append([Decision("a0", number, (0,), "", "Anna", "2026")])
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        process.kill()
        acknowledged = int((process.stdout.read().split() or ["1"])[-1])
    store = ReviewStore(tmp_path / "cells.csv")
    assert len(store.current()) in (acknowledged, acknowledged + 1)
    assert acknowledged > 5
