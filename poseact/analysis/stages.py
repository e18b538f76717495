"""The stages that run on the workers: plain callables over column batches of one chunk each.

Shape letters: T frames of the chunk, H W C rows, columns and channels, J = 7 joints, B crops,
S side of a crop. A batch is a dict of columns with one row; Ray Data is told so by
``batch_size=1``.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.analysis.ledger import MAX_ATTEMPTS, Receipt, Work, chunk_from_json
from poseact.analysis.people import People
from poseact.errors import VideoError
from poseact.geometry import (
    FloatArray,
    ImageArray,
    invert,
    square_to_crop,
    transform_points,
    upper_body_square,
    warp_crop,
)
from poseact.video.chunks import Chunk
from poseact.video.decode import decode_chunk

Batch: TypeAlias = dict[str, npt.NDArray[Any]]

CROPS_PER_CALL = 8
"""Crops in each call of the pose model. Always this many, the last call padded: the last bits of a
result may depend on the size of its batch, and must not depend on where a chunk ends."""


class PoseModel(Protocol):
    """What the watch stage needs of a pose estimator."""

    @property
    def input_px(self) -> int:
        """Side of its crops."""

    def predict(self, crops_BHWC: ImageArray) -> FloatArray:
        """Return joints (B, 7, 3): x, y in crop pixels, confidence."""


class ActionModel(Protocol):
    """What the watch stage needs of an action classifier."""

    def predict(self, joints_BJK: FloatArray) -> FloatArray:
        """Return probabilities (B, A)."""


def chunk_row(chunk: Chunk) -> dict[str, str]:
    """Return the row that stands for a chunk at the head of the pipeline."""
    return {"chunk": json.dumps(dataclasses.asdict(chunk))}


def decode(batch: Batch, *, work: Work) -> Batch:
    """Decode the frames of a chunk.

    Reads:  chunk str: made by ``chunk_row``
    Gives:  receipt str: JSON of the Receipt so far;
            frames (T, H, W, 3) uint8 RGB; frame_index (T,) int64; pts_s (T,) float64, seconds
    Rows:   1 in, 1 out; a chunk that cannot be decoded has the error in its receipt, and T is the
            number of frames before it
    Holds:  nothing between calls; the pixels of one chunk during a call
    """
    started = time.perf_counter()
    chunk = chunk_from_json(json.loads(str(batch["chunk"][0])))
    failure = _quarantine(work, chunk.chunk_id, "decode", chunk.uri)
    frames_THWC = np.empty((chunk.num_frames, chunk.height, chunk.width, 3), np.uint8)
    frame_index: list[int] = []
    pts_s: list[float] = []
    last_good_s = None
    frames = decode_chunk(chunk)
    try:
        for frame in () if failure else frames:
            frames_THWC[len(pts_s)] = frame.rgb_HWC
            frame_index.append(frame.frame_index)
            pts_s.append(frame.pts_s)
            if frames.report.last_good_pts == frame.pts:
                last_good_s = frame.pts_s
    except VideoError as error:
        failure = {"error_kind": type(error).__name__, "error": str(error)}
    work.forget_attempts(chunk.chunk_id, "decode")
    receipt = Receipt(
        chunk_id=chunk.chunk_id,
        video_id=chunk.video_id,
        uri=chunk.uri,
        num_planned=chunk.num_frames,
        num_frames=len(pts_s),
        decode_errors=frames.report.num_errors,
        last_good_pts_s=last_good_s,
        decode_s=time.perf_counter() - started,
        **failure,
    )
    return {
        "receipt": np.array([receipt.to_json()]),
        "frames": frames_THWC[None, : len(pts_s)],
        "frame_index": np.array([frame_index], np.int64),
        "pts_s": np.array([pts_s], np.float64),
    }


class Watch:
    """Find the people of a chunk, their joints and actions, and commit them.

    Reads:  what ``decode`` gives
    Gives:  receipt str: JSON of the chunk's Receipt
    Rows:   1 in, 1 out
    Holds:  both models, loaded once; needs ``num_gpus`` from the caller to use a GPU
    """

    def __init__(
        self,
        *,
        load_pose: Callable[[], PoseModel],
        load_action: Callable[[], ActionModel],
        work: Work,
        min_pose_confidence: float,
    ) -> None:
        self._pose = load_pose()  # in the actor, so weights never cross the object store
        self._action = load_action()
        self._work = work
        self._min_pose_confidence = min_pose_confidence

    def __call__(self, batch: Batch) -> Batch:
        """Process one chunk."""
        receipt = Receipt.from_json(str(batch["receipt"][0]))
        failure = _quarantine(self._work, receipt.chunk_id, "watch", receipt.uri)
        if failure:
            receipt = dataclasses.replace(receipt, num_frames=0, **failure)
        if receipt.num_frames:
            receipt = self._watch_and_commit(batch, receipt)
        self._work.save_receipt(receipt)
        self._work.forget_attempts(receipt.chunk_id, "watch")
        return {"receipt": np.array([receipt.to_json()])}

    def _watch_and_commit(self, batch: Batch, receipt: Receipt) -> Receipt:
        started = time.perf_counter()
        joints_TJ3 = self._joints(batch["frames"][0])
        posed = time.perf_counter()
        people = self._people(batch, joints_TJ3)
        scored = time.perf_counter()
        self._work.write_part(receipt.chunk_id, people.to_table())
        return dataclasses.replace(
            receipt,
            pose_s=posed - started,
            action_s=scored - posed,
            commit_s=time.perf_counter() - scored,
        )

    def _joints(self, frames_THWC: ImageArray) -> FloatArray:
        """Return the joints of the person who is the whole frame, (T, 7, 3), frame pixels."""
        height, width = frames_THWC.shape[1:3]
        side_px = self._pose.input_px
        to_crop = square_to_crop(upper_body_square((0, 0, width, height)), side_px)
        crops_TSSC = np.stack([warp_crop(frame, to_crop, side_px) for frame in frames_THWC])
        joints_TJ3 = in_equal_batches(self._pose.predict, crops_TSSC, CROPS_PER_CALL)
        xy_TJ2 = transform_points(joints_TJ3[..., :2], invert(to_crop))
        return np.concatenate([xy_TJ2, joints_TJ3[..., 2:]], axis=2)

    def _people(self, batch: Batch, joints_TJ3: FloatArray) -> People:
        num_frames, height, width = batch["frames"][0].shape[:3]
        is_nobody_T = joints_TJ3[..., 2].mean(axis=1) < self._min_pose_confidence
        scores_TA = in_equal_batches(self._action.predict, joints_TJ3, CROPS_PER_CALL)
        boxes_T4 = np.tile(np.array([0, 0, width, height], np.float32), (num_frames, 1))
        return People(
            frame_index_N=batch["frame_index"][0],
            pts_s_N=batch["pts_s"][0],
            boxes_N4=_without(is_nobody_T, boxes_T4),
            detection_score_N=np.full(num_frames, np.nan, np.float32),
            joints_NJ3=_without(is_nobody_T, joints_TJ3),
            scores_NA=_without(is_nobody_T, scores_TA),
        )


def in_equal_batches(
    predict: Callable[[npt.NDArray[Any]], FloatArray], items_N: npt.NDArray[Any], size: int
) -> FloatArray:
    """Call a model on batches of one size, whatever the number of items.

    Args:
        predict: The model, from (size, ...) to (size, ...).
        items_N: Its inputs, (N, ...), N at least 1.
        size: Items in a call.

    Returns:
        Its outputs, (N, ...).
    """
    padding = np.zeros((-len(items_N) % size, *items_N.shape[1:]), items_N.dtype)
    padded = np.concatenate([items_N, padding])
    outputs = [predict(padded[start : start + size]) for start in range(0, len(padded), size)]
    return np.concatenate(outputs)[: len(items_N)]


def _quarantine(work: Work, chunk_id: str, stage: str, uri: str) -> dict[str, Any]:
    """Count this attempt; return the error of a chunk that had too many, else nothing."""
    if work.count_attempt(chunk_id, stage) <= MAX_ATTEMPTS:
        return {}
    return {
        "error_kind": "Quarantined",
        "error": f"{uri}: {stage} of chunk {chunk_id} was started {MAX_ATTEMPTS} times and "
        "never ended. Its worker was killed each time: check the file and the memory.",
    }


def _without(is_nobody_N: npt.NDArray[np.bool_], values_N: FloatArray) -> FloatArray:
    blanked = values_N.copy()
    blanked[is_nobody_N] = np.nan
    return blanked
