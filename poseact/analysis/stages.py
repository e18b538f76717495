"""The stages that run on the workers: plain callables over column batches of one chunk each.

Shape letters: T frames of the chunk, H W C rows, columns and channels, J = 7 joints, K boxes of
people. A batch is a dict of columns with one row; Ray Data is told so by
``batch_size=1``.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.analysis.boxes import Boxes, believable, carry, frames_to_search
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.ledger import MAX_ATTEMPTS, Receipt, Work, chunk_from_json
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


def chunk_row(chunk: Chunk) -> dict[str, str]:
    """Return the row that stands for a chunk at the head of the pipeline."""
    return {"chunk": json.dumps(dataclasses.asdict(chunk))}


def decode(batch: Batch, *, work: Work) -> Batch:
    """Decode the frames of a chunk.

    Reads:  chunk str: made by ``chunk_row``
    Gives:  receipt str: JSON of the Receipt so far;
            frames (T, H, W, 3) uint8 RGB; frame_index (T,) int64; pts_s (T,) float64, seconds;
            run (T,) int64: which GOP run of the chunk
    Rows:   1 in, 1 out; a chunk that cannot be decoded has the error in its receipt, and T is the
            number of frames before it
    Holds:  nothing between calls; the pixels of one chunk during a call
    """
    started = time.perf_counter()
    chunk = chunk_from_json(json.loads(str(batch["chunk"][0])))
    failure = _quarantine(work, chunk.chunk_id, "decode", chunk.uri)
    frames_THWC = np.empty((chunk.num_frames, chunk.height, chunk.width, 3), np.uint8)
    frame_index: list[int] = []
    pts: list[int] = []
    pts_s: list[float] = []
    last_good_s = None
    frames = decode_chunk(chunk)
    try:
        for frame in () if failure else frames:
            frames_THWC[len(pts_s)] = frame.rgb_HWC
            frame_index.append(frame.frame_index)
            pts.append(frame.pts)
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
        "run": np.searchsorted(chunk.gop_run_pts, [pts], side="right"),
    }


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
        boxes = self._find_boxes(batch)
        detected = time.perf_counter()
        is_tall_K = boxes.boxes_K4[:, 3] - boxes.boxes_K4[:, 1] >= MIN_HEIGHT_PX
        people = self._find_people(batch, boxes.where(is_tall_K))
        posed = time.perf_counter()
        self._work.write_part(receipt.chunk_id, people.to_table())
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


def _quarantine(work: Work, chunk_id: str, stage: str, uri: str) -> dict[str, Any]:
    """Count this attempt; return the error of a chunk that had too many, else nothing."""
    if work.count_attempt(chunk_id, stage) <= MAX_ATTEMPTS:
        return {}
    return {
        "error_kind": "Quarantined",
        "error": f"{uri}: {stage} of chunk {chunk_id} was started {MAX_ATTEMPTS} times and "
        "never ended. Its worker was killed each time: check the file and the memory.",
    }
