"""Where people are in each frame: looked for in some frames of a run, carried between them.

Shape letters: T frames, R runs, N people of one frame, M people of another, K boxes of all frames.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from poseact.geometry import FloatArray, box_iou, suppress_doubles
from poseact.models.detection import Detections

MAX_SPEED = 2.5
"""Heights per second up to which somebody is still the same person: about 4 m/s, a run."""

MIN_LIKE_HEIGHT = 0.5
"""Likewise, the lower of two boxes over the higher one: nobody sits down in a fifth of a second."""

NEARNESS_WEIGHT = 0.5
"""What being at the same place counts beside an overlap of 1: less, since overlap tells people who
pass each other apart. Without it runners are lost: IDF1 of a rendered crowd 0.914, not 0.954."""

UNSURE_SHARE = 0.7
"""Part of the score asked of a person that is enough in a frame, if another frame is sure. With it
each of the three in `exercise.avi` is found in 93 % of the frames or more, else one in 69 %."""

DOUBLE_IOU = 0.2
"""Overlap with a surer find from which an unsure one is taken for the same person: the doubles that
tore tracks overlapped by 0.37 and more."""

EPSILON_S = 1e-6
"""Rounding error of a time; a frame that is due must not be missed by it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes of people, frame by frame, from left to right within a frame."""

    frame_K: npt.NDArray[np.int64]
    """Row of the frame."""

    boxes_K4: FloatArray
    """x0, y0, x1, y1, frame pixels."""

    scores_K: FloatArray
    """Score of the detection, in [0, 1]; between two detections, of the nearer one."""

    @staticmethod
    def whole_frames(num_frames: int, width: int, height: int) -> "Boxes":
        """Take every frame for one person; nobody was looked for, so the scores are NaN."""
        return Boxes(
            frame_K=np.arange(num_frames),
            boxes_K4=np.tile(np.array([0, 0, width, height], np.float32), (num_frames, 1)),
            scores_K=np.full(num_frames, np.nan, np.float32),
        )

    def where(self, is_kept_K: npt.NDArray[np.bool_]) -> "Boxes":
        """Return some of the boxes."""
        return Boxes(
            frame_K=self.frame_K[is_kept_K],
            boxes_K4=self.boxes_K4[is_kept_K],
            scores_K=self.scores_K[is_kept_K],
        )


def frames_to_search(
    run_T: npt.NDArray[np.int64], pts_s_T: npt.NDArray[np.float64], every_s: float
) -> list[int]:
    """Choose the frames in which people are looked for.

    In each run the first, the last, and between them one whenever enough time has passed. What is
    chosen in a run depends on that run alone, whatever other runs come with it.

    Args:
        run_T: Number of the run of each frame, not decreasing.
        pts_s_T: Presentation time of each frame, seconds.
        every_s: Time between two of them.

    Returns:
        Rows, increasing.
    """
    chosen: list[int] = []
    for row, run in enumerate(run_T):
        is_first = row == 0 or run_T[row - 1] != run
        is_last = row + 1 == len(run_T) or run_T[row + 1] != run
        if is_first or is_last or pts_s_T[row] - pts_s_T[chosen[-1]] > every_s - EPSILON_S:
            chosen.append(row)
    return chosen


def believable(people: Detections, sure_score: float) -> Detections:
    """Leave out finds that are too unsure, or unsure and perhaps the same as a surer one.

    An unsure find is kept for now: whether it is somebody is known when the whole recording is.

    Args:
        people: Finds of one frame.
        sure_score: Score from which a find is sure.

    Source:
        Zhang et al., ByteTrack, 2022: low-scoring boxes belong to somebody who is known otherwise.
    """
    people = people.above(UNSURE_SHARE * sure_score)
    is_believed_N = people.scores_N >= sure_score
    is_believed_N[suppress_doubles(people.boxes_N4, people.scores_N, DOUBLE_IOU)] = True
    return people.where(is_believed_N)


def carry(
    searched: Sequence[int],
    found: Sequence[Detections],
    run_T: npt.NDArray[np.int64],
    pts_s_T: npt.NDArray[np.float64],
) -> Boxes:
    """Carry boxes from the frames in which people were looked for to those between.

    A person found in both frames moves evenly in time from one to the other. One found in only one
    of them stays where they are until halfway.

    Args:
        searched: Rows that ``frames_to_search`` chose.
        found: People in each of them.
        run_T: Number of the run of each frame.
        pts_s_T: Presentation time of each frame, seconds.
    """
    parts = [_boxes_at(frame, here) for frame, here in zip(searched, found, strict=True)]
    ends = zip(itertools.pairwise(searched), itertools.pairwise(found), strict=True)
    for (first, last), (before, after) in ends:
        if run_T[first] == run_T[last]:
            parts += _between(first, last, before, after, pts_s_T)
    frame_K = np.concatenate([part.frame_K for part in parts])
    boxes_K4 = np.concatenate([part.boxes_K4 for part in parts])
    scores_K = np.concatenate([part.scores_K for part in parts])
    order = np.lexsort((*boxes_K4.T[::-1], frame_K))
    return Boxes(frame_K=frame_K[order], boxes_K4=boxes_K4[order], scores_K=scores_K[order])


def _boxes_at(frame: int, people: Detections) -> Boxes:
    return Boxes(
        frame_K=np.full(len(people.boxes_N4), frame, np.int64),
        boxes_K4=people.boxes_N4,
        scores_K=people.scores_N,
    )


def _between(
    first: int,
    last: int,
    before: Detections,
    after: Detections,
    pts_s_T: npt.NDArray[np.float64],
) -> list[Boxes]:
    """Return the boxes of the frames after ``first`` and before ``last``."""
    passed_s = pts_s_T[last] - pts_s_T[first]
    row_N, row_M = _same_person(before.boxes_N4, after.boxes_N4, passed_s)
    parts = []
    for frame in range(first + 1, last):
        share = (pts_s_T[frame] - pts_s_T[first]) / passed_s
        nearer, rows = (before, row_N) if share < 0.5 else (after, row_M)  # noqa: PLR2004
        moving_K4 = (1 - share) * before.boxes_N4[row_N] + share * after.boxes_N4[row_M]
        alone = np.setdiff1d(np.arange(len(nearer.boxes_N4)), rows)
        parts.append(
            Boxes(
                frame_K=np.full(len(rows) + len(alone), frame, np.int64),
                boxes_K4=np.concatenate([moving_K4.astype(np.float32), nearer.boxes_N4[alone]]),
                scores_K=nearer.scores_N[np.concatenate([rows, alone])],
            )
        )
    return parts


def _same_person(
    boxes_N4: FloatArray, boxes_M4: FloatArray, passed_s: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pair people for the most overlap and nearness in total; return the rows of both.

    Nearness alone would let two people who pass each other turn round instead.
    """
    height_N, height_M = boxes_N4[:, 3] - boxes_N4[:, 1], boxes_M4[:, 3] - boxes_M4[:, 1]
    middle_N2, middle_M2 = (boxes.reshape(-1, 2, 2).mean(axis=1) for boxes in (boxes_N4, boxes_M4))
    distance_NM = np.linalg.norm(middle_N2[:, None] - middle_M2, axis=2)
    reach_NM = MAX_SPEED * passed_s * (height_N[:, None] + height_M) / 2
    like_NM = np.minimum(height_N[:, None] / height_M, height_M / height_N[:, None])
    can_be_NM = (distance_NM < reach_NM) & (like_NM >= MIN_LIKE_HEIGHT)
    near_NM = NEARNESS_WEIGHT * (1 - distance_NM / reach_NM)
    worth_NM = np.where(can_be_NM, box_iou(boxes_N4, boxes_M4) + near_NM, 0)
    row_N, row_M = linear_sum_assignment(worth_NM, maximize=True)
    is_pair = worth_NM[row_N, row_M] > 0
    return row_N[is_pair].astype(np.int64), row_M[is_pair].astype(np.int64)
