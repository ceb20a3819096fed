"""Predictions as the contest's submission."""

from hpa_mmdet.inference.outputs.base import Images, Output
from hpa_mmdet.io.submission import write_submission
from hpa_mmdet.predictions.submission_rows import row_of_prediction


class SubmissionOutput(Output):
    """submission.csv: a row for every image, `class confidence mask` triples in each."""

    names = ("submission.csv",)

    def finish(self, images: Images) -> list[str]:
        """Write the rows."""
        run = self.run
        rows = (row_of_prediction(stored.prediction, run.min_confidence) for stored in images())
        with run.writing(self.names[0]) as temporary:
            write_submission(temporary, rows)
        return []
