"""The stages that run on the workers: plain callables over column batches of one chunk each.

Shape letters: T frames of the chunk, H W C rows, columns and channels, J = 7 joints, K boxes of
people. A batch is a dict of columns with one row; Ray Data is told so by
``batch_size=1``.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from poseact.analysis.boxes import Boxes, believable, carry, frames_to_search
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.decoding import Batch
from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.people import People
from poseact.geometry import ImageArray, upper_body_square
from poseact.models.detection import Detector
from poseact.models.looks import CropModel, look_twice

MIN_HEIGHT_PX = 40
"""People whose box is lower are counted, not looked at: at this height a hand is three pixels."""


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
                failure = attempt.poison.of_file(receipt.uri)
                receipt = dataclasses.replace(receipt, num_frames=0, **failure)
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
