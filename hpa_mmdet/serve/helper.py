"""What the helper process does: it decodes uploads and writes downloads.

Both handle what strangers send, so they run apart from the server, with limits of time
and memory.
"""

from collections.abc import Callable
from typing import Any

from hpa_mmdet.serve.export import export_cells
from hpa_mmdet.serve.pictures import decode_files


def build_helper() -> Callable[..., Any]:
    """Give the function of the helper process; its first argument names the task."""
    tasks: dict[str, Callable[..., Any]] = {"decode": decode_files, "export": export_cells}
    return lambda task, *arguments: tasks[task](*arguments)
