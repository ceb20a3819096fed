"""The routes of the review page: the queue, pictures of cells, decisions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import BAD_MASK, CellKey, Decision, now_text
from hpa_mmdet.serve import schema
from hpa_mmdet.serve.job_routes import plane_bytes
from hpa_mmdet.serve.limits import Refusal, ServerLimits
from hpa_mmdet.serve.predict_routes import localization_classes
from hpa_mmdet.serve.replies import ERRORS, invalid_request
from hpa_mmdet.serve.review_cells import ReviewCell, ReviewCells
from hpa_mmdet.serve.review_queue import order_cells, review_progress
from hpa_mmdet.serve.review_store import ReviewStore
from hpa_mmdet.serve.uploads import Body

_Model = TypeVar("_Model", bound=BaseModel)
_Content = dict[int | str, dict[str, Any]]
OptionalClass = Annotated[int | None, Query(alias="class", ge=0, lt=19)]


class ReviewRoutes:
    """Handlers of `/api/review`.

    Args:
        cells: what is reviewed.
        store: where decisions go.
        thresholds: (19,) of the model's calls.
        limits: of the server.
        queue_file: cells in the order of a file; empty without one.
    """

    def __init__(
        self,
        cells: ReviewCells,
        store: ReviewStore,
        thresholds: tuple[float, ...],
        limits: ServerLimits,
        queue_file: Sequence[CellKey] = (),
    ) -> None:
        self._cells, self._store, self._limits = cells, store, limits
        self._thresholds, self._queue_file = thresholds, queue_file

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter(prefix="/api/review", responses=ERRORS)
        router.get("", summary="Classes, and how far the review is")(self.setup)
        router.get("/queue", summary="The next cells to look at")(self.queue)
        pixels: _Content = {200: {"content": {"application/octet-stream": {}}}}
        router.get(
            "/pixels",
            summary="Channels around a cell, plane by plane, then 16-bit labels: 1 is the cell",
            response_class=Response,
            responses=pixels,
        )(self.pixels)
        picture: _Content = {200: {"content": {"image/png": {}}}}
        router.get(
            "/thumbnail",
            summary="A small picture of a cell",
            response_class=Response,
            responses=picture,
        )(self.thumbnail)
        router.post("/decisions", summary="Say what cells show", openapi_extra=_body("Decisions"))(
            self.decide
        )
        router.post("/undo", summary="Take the last decision back", openapi_extra=_body("Undo"))(
            self.undo
        )
        return router

    def setup(self) -> schema.ReviewSetup:
        """What a page needs once."""
        return schema.ReviewSetup(
            classes=localization_classes(self._thresholds),
            has_queue_file=bool(self._queue_file),
            progress=self._progress(),
        )

    def queue(
        self,
        reviewer: Annotated[str, Query(max_length=40)] = "",
        order: Literal["least_sure", "class", "random", "file"] = "least_sure",
        class_index: OptionalClass = None,
        seed: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
        second_look: Annotated[
            bool, Query(description="cells that others decided and this reviewer did not")
        ] = False,
    ) -> schema.QueueReply:
        """Cells that nobody has decided yet, in some order."""
        self._refresh()
        current = self._store.current()

        def waits(cell: ReviewCell) -> bool:
            of_cell = current.get(cell.key, {})
            return bool(of_cell) and reviewer not in of_cell if second_look else not of_cell

        waiting = [cell for cell in self._cells.by_key.values() if waits(cell)]
        ordered = order_cells(waiting, order, class_index, seed, self._queue_file)
        return schema.QueueReply(
            cells=[self._describe(cell, reviewer) for cell in ordered[:limit]],
            left=len(ordered),
            progress=self._progress(),
        )

    def pixels(self, image_id: str, cell_id: int) -> Response:
        """The surroundings of a cell, as the page's viewer takes them."""
        try:
            part = self._cells.part(self._find(image_id, cell_id))
        except InputError as error:
            raise _no_pictures(error) from None
        content = plane_bytes(part.pixels) + part.labels.astype("<u2").tobytes()
        headers = {"x-depth-bits": str(8 * part.pixels.dtype.itemsize)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    def thumbnail(self, image_id: str, cell_id: int) -> Response:
        """A small picture of a cell."""
        try:
            picture = self._cells.thumbnail(self._find(image_id, cell_id))
        except InputError as error:
            raise _no_pictures(error) from None
        return Response(
            picture, media_type="image/png", headers={"cache-control": "private, max-age=3600"}
        )

    async def decide(self, request: Request) -> schema.ReviewProgress:
        """Append decisions; they are on the disk when this answers."""
        content = await self._read(request, schema.DecisionsRequest)
        time = now_text()
        decisions = []
        for said in content.decisions:
            self._find(said.image_id, said.cell_id)
            if said.bad_mask == bool(said.labels):
                raise Refusal(
                    422, "no_label", "Give each cell at least one localization, or mark a bad mask."
                )
            word = BAD_MASK if said.bad_mask else ""
            labels = tuple(sorted(set(said.labels)))
            decisions.append(
                Decision(said.image_id, said.cell_id, labels, word, content.reviewer, time)
            )
        await run_in_threadpool(self._append, decisions)
        return await run_in_threadpool(self._progress)

    async def undo(self, request: Request) -> schema.UndoReply:
        """Take back what a reviewer said last."""
        content = await self._read(request, schema.UndoRequest)
        taken_back = await run_in_threadpool(self._store.undo, content.reviewer)
        cell = None if taken_back is None else self._cells.by_key.get(taken_back.key)
        described = None if cell is None else self._describe(cell, content.reviewer)
        if described is not None and taken_back is not None:
            described.decided = list(taken_back.labels)
            described.bad_mask = taken_back.word == BAD_MASK
        return schema.UndoReply(cell=described, progress=self._progress())

    async def _read(self, request: Request, model: type[_Model]) -> _Model:
        body = await Body(request, self._limits.review_bytes, self._limits).read()
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise invalid_request(error.errors()) from None

    def _append(self, decisions: Sequence[Decision]) -> None:
        try:
            self._store.append(decisions)
        except OSError as error:
            raise Refusal(
                507,
                "not_written",
                f"The decision could not be written ({error.strerror}). It does not count.",
            ) from None

    def _find(self, image_id: str, cell_id: int) -> ReviewCell:
        cell = self._cells.by_key.get((image_id, cell_id))
        if cell is None:
            raise Refusal(404, "no_cell", "There is no such cell among the predictions.")
        return cell

    def _refresh(self) -> None:
        try:
            self._store.refresh()
        except (OSError, InputError) as error:
            problem = str(error).replace(f"{self._store.path.parent}/", "")
            raise Refusal(
                409, "table_damaged", f"The table of decisions cannot be read: {problem}."
            ) from None

    def _progress(self) -> schema.ReviewProgress:
        return review_progress(self._cells.by_key, self._store.current())

    def _describe(self, cell: ReviewCell, reviewer: str) -> schema.QueuedCell:
        said = self._store.current().get(cell.key, {}).get(reviewer)
        labels, source = self._cells.labels_of_image(cell)
        return schema.QueuedCell(
            image_id=cell.key[0],
            cell_id=cell.cell_id,
            cell_score=cell.cell.cell_score,
            scores=[float(score) for score in cell.cell.localization_scores],
            called=list(cell.called),
            image_labels=list(labels),
            image_labels_from=source,
            decided=None if said is None else list(said.labels),
            bad_mask=said is not None and said.word == BAD_MASK,
            box=self._cells.box_of(cell),
            channels=list(self._cells.channels_of(cell)),
        )


def _body(name: str) -> dict[str, object]:
    reference = {"$ref": f"#/components/schemas/{name}Request"}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}
    }


def _no_pictures(error: InputError) -> Refusal:
    name = error.where.rsplit("/", 1)[-1]
    return Refusal(
        409, "no_pictures", f"The images of this cell cannot be read ({name}). Check --images."
    )
