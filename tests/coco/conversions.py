"""What became of a conversion."""

from hpa_mmdet.jobs import Report


def failures_of(report: Report) -> dict[str, str]:
    return {failure.item_id: failure.message for failure in report.failures}
