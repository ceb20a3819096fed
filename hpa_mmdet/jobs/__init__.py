"""One function over many items: processes, shards, clusters, resuming, failures, progress."""

from hpa_mmdet.jobs.report import Failure, Report, read_report
from hpa_mmdet.jobs.run import run_items

__all__ = ["Failure", "Report", "read_report", "run_items"]
