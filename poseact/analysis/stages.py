"""The stages that run on the workers: plain callables over column batches of one chunk each.

Shape letters: T frames of the chunk, H W C rows, columns and channels, J = 7 joints, K boxes of
people. A batch is a dict of columns with one row; Ray Data is told so by
``batch_size=1``.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.analysis.attempts import Attempt, Poison
from poseact.analysis.boxes import Boxes, believable, carry, frames_to_search
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.people import People
from poseact.errors import VideoError
from poseact.geometry import ImageArray, upper_body_square
from poseact.models.detection import Detector
from poseact.models.looks import CropModel, look_twice
from poseact.video.chunks import Chunk
from poseact.video.decode import decode_chunk

Batch: TypeAlias = dict[str, npt.NDArray[Any]]

MIN_HEIGHT_PX = 40
"""People whose box is lower are counted, not looked at: at this height a hand is three pixels."""


def chunk_row(video_id: str, place: int) -> dict[str, str | int]:
    """Return the row that stands for a chunk at the head of the pipeline.

    Args:
        video_id: Of a video whose plan is in the work folder.
        place: Of the chunk in that plan.
    """
    return {"video_id": video_id, "place": place}


class Decode:
    """Decode the frames of a chunk.

    An actor, not a task: on several nodes Ray spreads tasks, and ends workers that had none for a
    second, so that most chunks waited for a new process.

    Reads:  what ``chunk_row`` gives
    Gives:  receipt str: JSON of the Receipt so far;
            frames (T, H, W, 3) uint8 RGB; frame_index (T,) int64; pts_s (T,) float64, seconds;
            run (T,) int64: which GOP run of the chunk
    Rows:   1 in, 1 out; a chunk that cannot be decoded has the error in its receipt, and T is the
            number of frames before it
    Holds:  the plans of a few videos; the pixels of one chunk during a call
    """

    def __init__(self, *, work: Work, frame_timeout_s: float) -> None:
        """Set up.

        Args:
            work: Where plans and attempts are.
            frame_timeout_s: Seconds that a frame may take.
        """
        self._work = work
        self._frame_timeout_s = frame_timeout_s

    def __call__(self, batch: Batch) -> Batch:
        """Process one chunk."""
        started = time.perf_counter()
        video = self._work.require_plan(str(batch["video_id"][0]))
        chunk = video.chunks[int(batch["place"][0])]
        attempts = self._work.attempts
        with attempts.start(chunk.chunk_id, "decode", self._frame_timeout_s) as attempt:
            decoded = _decoded(chunk, video.info.time_base, attempt)
        spent_s = time.perf_counter() - started
        receipt = dataclasses.replace(decoded.receipt, decode_s=spent_s)
        return {
            "receipt": np.array([receipt.to_json()]),
            "frames": decoded.frames_THWC[None],
            "frame_index": np.array([decoded.frame_index], np.int64),
            "pts_s": np.array([decoded.pts_s], np.float64),
            "run": np.searchsorted(chunk.gop_run_pts, [decoded.pts], side="right"),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Decoded:
    receipt: Receipt
    frames_THWC: ImageArray
    frame_index: list[int]
    pts: list[int]
    pts_s: list[float]


def _decoded(chunk: Chunk, time_base: Fraction, attempt: Attempt) -> _Decoded:
    """Decode what can be decoded."""
    frames_THWC = np.empty((chunk.num_frames, chunk.height, chunk.width, 3), np.uint8)
    frame_index: list[int] = []
    pts: list[int] = []
    pts_s: list[float] = []
    failure = _failure(chunk.uri, attempt.poison)
    last_good_s = failure.pop("last_good_pts_s", None)
    frames = decode_chunk(chunk)
    try:
        for frame in () if failure else frames:
            frames_THWC[len(pts_s)] = frame.rgb_HWC
            frame_index.append(frame.frame_index)
            pts.append(frame.pts)
            pts_s.append(frame.pts_s)
            attempt.reached(frame.pts_s)
            if frames.report.last_good_pts == frame.pts:
                last_good_s = frame.pts_s
    except VideoError as error:
        failure = {"error_kind": type(error).__name__, "error": str(error)}
    return _Decoded(
        receipt=Receipt(
            chunk_id=chunk.chunk_id,
            video_id=chunk.video_id,
            uri=chunk.uri,
            num_planned=chunk.num_frames,
            num_frames=len(pts_s),
            decode_errors=frames.report.num_errors,
            last_good_pts_s=last_good_s,
            first_lost_pts_s=_first_lost_s(chunk, time_base, frame_index),
            **failure,
        ),
        frames_THWC=frames_THWC[: len(pts_s)],
        frame_index=frame_index,
        pts=pts,
        pts_s=pts_s,
    )


def _first_lost_s(chunk: Chunk, time_base: Fraction, frame_index: Sequence[int]) -> float | None:
    """Return when the first planned frame that was not decoded is shown; None if all were."""
    found = {index - chunk.first_frame_index for index in frame_index}
    lost = next((pts for place, pts in enumerate(chunk.frame_pts) if place not in found), None)
    return None if lost is None else float(lost * time_base)


class Watch:
    """Find the people of a chunk and their joints, and commit them.

    Reads:  what ``decode`` gives
    Gives:  receipt str: JSON of the chunk's Receipt
    Rows:   1 in, 1 out
    Holds:  both models, loaded once; needs ``num_gpus`` from the caller to use a GPU
    """

    def __init__(
        self,
        *,
        load_models: Callable[[], tuple[Detector | None, CropModel]],
        work: Work,
        config: AnalyzeConfig,
    ) -> None:
        """Load the models; without a detector every frame is taken for one person.

        Args:
            load_models: Returns the detector, or None, and the pose model.
            work: Where results go.
            config: Settings; with a detector, ``min_detection_score`` is given.
        """
        # in the actor, so weights never cross the object store
        self._detector, self._pose = load_models()
        self._work = work
        self._config = config
        self._sure_score = config.min_detection_score or 0.0

    def __call__(self, batch: Batch) -> Batch:
        """Process one chunk."""
        receipt = Receipt.from_json(str(batch["receipt"][0]))
        with self._work.attempts.start(receipt.chunk_id, "watch") as attempt:
            if attempt.poison:
                failure = _failure(receipt.uri, attempt.poison)
                receipt = dataclasses.replace(receipt, **{**failure, "num_frames": 0})
            if receipt.num_frames:
                receipt = self._watch_and_commit(batch, receipt)
            self._work.save_receipt(receipt)
        return {"receipt": np.array([receipt.to_json()])}

    def _watch_and_commit(self, batch: Batch, receipt: Receipt) -> Receipt:
        started = time.perf_counter()
        boxes = self._find_boxes(batch)
        detected = time.perf_counter()
        is_tall_K = boxes.boxes_K4[:, 3] - boxes.boxes_K4[:, 1] >= MIN_HEIGHT_PX
        people = self._find_people(batch, boxes.where(is_tall_K))
        posed = time.perf_counter()
        self._work.write_part(receipt.video_id, receipt.chunk_id, people.to_table())
        return dataclasses.replace(
            receipt,
            num_too_small=int((~is_tall_K & ~(boxes.scores_K < self._sure_score)).sum()),
            detect_s=detected - started,
            pose_s=posed - detected,
            commit_s=time.perf_counter() - posed,
        )

    def _find_boxes(self, batch: Batch) -> Boxes:
        frames_THWC: ImageArray = batch["frames"][0]
        if self._detector is None:
            num_frames, height, width = frames_THWC.shape[:3]
            return Boxes.whole_frames(num_frames, width, height)
        run_T, pts_s_T = batch["run"][0], batch["pts_s"][0]
        rows = frames_to_search(run_T, pts_s_T, self._config.detect_every_s)
        found = self._detector.detect([frames_THWC[row] for row in rows])
        believed = [believable(people, self._sure_score) for people in found]
        return carry(rows, believed, run_T, pts_s_T)

    def _find_people(self, batch: Batch, boxes: Boxes) -> People:
        frames_THWC: ImageArray = batch["frames"][0]
        joints_KJ3 = look_twice(
            self._pose,
            [frames_THWC[frame] for frame in boxes.frame_K],
            [upper_body_square(box) for box in boxes.boxes_K4.tolist()],
        )
        is_there_K = joints_KJ3[..., 2].mean(axis=1) >= self._config.least_pose_confidence
        return People.in_frames(
            boxes.where(is_there_K),
            joints_KJ3[is_there_K],
            frame_index_T=batch["frame_index"][0],
            pts_s_T=batch["pts_s"][0],
        )


def _failure(uri: str, poison: Poison | None) -> dict[str, Any]:
    """Return what the receipt of a chunk that is set aside says; nothing for any other."""
    if poison is None:
        return {}
    return {
        "error_kind": poison.error_kind,
        "error": f"{uri}: {poison.error}",
        "last_good_pts_s": poison.last_good_pts_s,
    }
