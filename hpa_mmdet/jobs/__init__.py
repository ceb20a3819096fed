"""One function over many items: processes, failures, progress."""

from hpa_mmdet.jobs.run import Failure, Report, run_items

__all__ = ["Failure", "Report", "run_items"]
