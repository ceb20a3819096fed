"""What the API takes and gives, for checking and for its OpenAPI description."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hpa_mmdet.localizations import NUM_LOCALIZATIONS

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PixelCount = Annotated[int, Field(ge=0, le=2**31)]
_MOST_CELLS = 20_000
_COLOUR = r"^#[0-9a-f]{6}$"


class Strict(BaseModel):
    """Unknown keys are refused, so that a misspelt one is not passed over."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Strict):
    """Why a request was not served."""

    code: str = Field(description="a short name for programs")
    message: str = Field(description="what to do, for people")


class ErrorReply(Strict):
    """Every answer with a status of 400 or above."""

    error: ErrorDetail


class Health(Strict):
    """Whether the server answers, and how busy it is."""

    status: str = Field(examples=["ok"])
    jobs: int = Field(description="uploads being received, waiting or predicted")
    queue_length: int = Field(description="how many of them are taken at once")


class LocalizationClass(Strict):
    """One of the 19 classes."""

    index: int = Field(ge=0, lt=NUM_LOCALIZATIONS)
    name: str
    short_name: str
    colour: str = Field(pattern=_COLOUR)
    threshold: Probability = Field(description="p(class | cell) from which on it is called")


class ModelReply(Strict):
    """The model that answers."""

    name: str
    version: str
    checksum: str = Field(description="SHA-256 of the weights")
    channels: list[str]
    optional_channels: list[str]
    classes: list[LocalizationClass]
    max_pixels: int
    max_upload_bytes: int


class RunLengths(Strict):
    """A mask as COCO's compressed run lengths over the whole image."""

    size: tuple[PixelCount, PixelCount] = Field(description="height, width")
    counts: str = Field(max_length=2**20)


class CellReply(Strict):
    """One cell."""

    cell_id: int = Field(ge=1, le=2**31 - 1, description="its value in the label image")
    bbox: tuple[PixelCount, PixelCount, PixelCount, PixelCount] = Field(
        description="x, y, width, height"
    )
    area: PixelCount
    touches_border: bool = False
    cell_score: Probability = Field(description="p(cell); 1 for the segmenter's cells")
    scores: list[Probability] = Field(
        min_length=NUM_LOCALIZATIONS,
        max_length=NUM_LOCALIZATIONS,
        description="p(class | cell) of the 19 classes, by index",
    )
    called: list[Annotated[int, Field(ge=0, lt=NUM_LOCALIZATIONS)]] = Field(
        default=[], description="classes that reach their threshold, the likeliest first"
    )
    segmentation: RunLengths | None = None
    polygons: list[list[float]] | None = Field(
        default=None, description="with masks=polygon: rings of x, y, x, y, ..."
    )


class PredictionReply(Strict):
    """One image and its cells."""

    width: int
    height: int
    channels: list[str]
    instances: str
    notes: list[str]
    model_checksum: str
    input_sha256: str = Field(description="of the uploaded files")
    seconds: float = Field(description="time of the model")
    cells: list[CellReply]


class JobReply(Strict):
    """One upload on its way. `prediction` is there when `state` is "done"."""

    job_id: str
    state: str = Field(description="decoding, waiting, predicting, done, failed or cancelled")
    position: int = Field(description="uploads before this one")
    elapsed_s: float
    expected_s: float | None = Field(description="of the model for this image, once known")
    width: int | None = None
    height: int | None = None
    depth_bits: int | None = None
    channels: list[str] = []
    error: ErrorDetail | None = None
    prediction: PredictionReply | None = None


class ExportRequest(Strict):
    """Cells to be written into a file, as `/api/predict` gave them."""

    image_id: str = Field(default="image", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    width: int = Field(ge=1, le=2**20)
    height: int = Field(ge=1, le=2**20)
    cells: list[CellReply] = Field(max_length=_MOST_CELLS)


class ReviewProgress(Strict):
    """How far a review is."""

    total: int = Field(description="cells of the predictions")
    done: int = Field(description="cells that somebody decided")
    bad_masks: int
    unsettled: int = Field(description="cells on which reviewers disagree without a majority")
    elsewhere: int = Field(description="decisions on cells that are not among the predictions")
    compared_with_model: int = Field(description="decided cells that are not bad masks")
    agree_with_model: int = Field(description="of them, those with just the model's classes")
    seen_by_several: int
    reviewers_agree: int = Field(description="of them, those of which all say the same")
    by_reviewer: dict[str, int]


class ReviewSetup(Strict):
    """What a review page needs once."""

    classes: list[LocalizationClass]
    has_queue_file: bool
    progress: ReviewProgress


Reviewer = Annotated[
    str, Field(pattern=r"^[^\W_][\w .'-]{0,39}$", description="a name: letters, digits, spaces")
]
ClassIndex = Annotated[int, Field(ge=0, lt=NUM_LOCALIZATIONS)]


class QueuedCell(Strict):
    """One cell of the review's queue."""

    image_id: str
    cell_id: int
    cell_score: Probability
    scores: list[Probability]
    called: list[int] = Field(description="what the model says, the likeliest first")
    image_labels: list[int] = Field(description="what the whole image shows")
    image_labels_from: str = Field(description="table, model, or empty")
    decided: list[int] | None = Field(description="what this reviewer said before")
    bad_mask: bool
    box: tuple[PixelCount, PixelCount, PixelCount, PixelCount] = Field(
        description="left, top, right, bottom of the surroundings"
    )
    channels: list[str]


class QueueReply(Strict):
    """The next cells to look at."""

    cells: list[QueuedCell]
    left: int = Field(description="cells of this queue that are not decided, these included")
    progress: ReviewProgress


class DecisionRequest(Strict):
    """What a reviewer says of one cell."""

    image_id: str = Field(max_length=200)
    cell_id: int = Field(ge=1, le=2**31 - 1)
    labels: list[ClassIndex] = Field(default=[], max_length=NUM_LOCALIZATIONS)
    bad_mask: bool = False


class DecisionsRequest(Strict):
    """Decisions of one reviewer, written together."""

    reviewer: Reviewer
    decisions: list[DecisionRequest] = Field(min_length=1, max_length=500)


class UndoRequest(Strict):
    """Whose last decision is taken back."""

    reviewer: Reviewer


class UndoReply(Strict):
    """The cell whose decision was taken back; null where there was none."""

    cell: QueuedCell | None
    progress: ReviewProgress
