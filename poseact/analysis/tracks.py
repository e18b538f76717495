"""The people of a whole video through time: who is who, and how they move.

Shape letters: N rows (one per frame and person, one for a frame with nobody), J = 7 joints.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poseact.analysis.people import People
from poseact.tracking.flips import repair_flips
from poseact.tracking.link import IdArray, link_people
from poseact.tracking.rows import rows_of_tracks
from poseact.tracking.smooth import smooth_joints

NOBODY: Final = -1
"""Track of a row that stands for a frame with nobody; null in the table."""

TRACK_COLUMNS: Final = (
    "frame_index",
    "pts_s",
    "track_id",
    "bbox_xyxy_px",
    "detection_score",
    "joints",
)
"""What a timeline tells of the tracks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tracks:
    """The people of a video through time."""

    people: People

    track_N: IdArray
    """Track of each row; ``NOBODY`` where there is no person."""

    @property
    def num_tracks(self) -> int:
        """Count the tracks, which are numbered from 0."""
        return int(self.track_N.max(initial=NOBODY)) + 1

    def rows_of_each(self) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """Yield each track and its rows in order of time."""
        for rows in rows_of_tracks(self.track_N, self.people.pts_s_N):
            track = int(self.track_N[rows[0]])
            if track != NOBODY:
                yield track, rows

    @staticmethod
    def from_table(table: pa.Table) -> "Tracks":
        """Take up the tracks that a timeline holds.

        Args:
            table: ``TRACK_COLUMNS`` of the rows of one video.
        """
        return Tracks(
            people=People.from_tables([table]),
            track_N=table["track_id"].fill_null(NOBODY).to_numpy(),
        )


def follow(people: People, min_detection_score: float | None) -> Tracks:
    """Turn the people of single frames into persons, and mend and calm their joints.

    Args:
        people: The people of a video, also those of whom no frame is sure.
        min_detection_score: Score that a person must reach in one frame at least; None believes
            in everybody.
    """
    people, ids_N = _link_believed(people, min_detection_score)
    is_person_N = people.is_person_N
    pts_s_N = people.pts_s_N[is_person_N]
    joints_NJ3 = repair_flips(people.joints_NJ3[is_person_N], pts_s_N, ids_N)
    joints_NJ3 = smooth_joints(joints_NJ3, pts_s_N, ids_N)
    return Tracks(
        people=dataclasses.replace(people, joints_NJ3=_spread(joints_NJ3, is_person_N, np.nan)),
        track_N=_spread(ids_N, is_person_N, NOBODY),
    )


def _link_believed(people: People, min_detection_score: float | None) -> tuple[People, IdArray]:
    """Return the people whose track is sure once, and their tracks, for each row with a person."""
    is_person_N = people.is_person_N
    ids_P = link_people(
        people.frame_index_N[is_person_N],
        people.pts_s_N[is_person_N],
        people.boxes_N4[is_person_N],
        people.joints_NJ3[is_person_N],
    )
    if min_detection_score is None:
        return people, ids_P
    sure_ids = np.unique(ids_P[people.detection_score_N[is_person_N] >= min_detection_score])
    is_sure_P = np.isin(ids_P, sure_ids)
    believed = people.without(_spread(~is_sure_P, is_person_N, False))
    return believed, np.searchsorted(sure_ids, ids_P[is_sure_P]).astype(np.int32)


def _spread(
    values_P: npt.NDArray[Any], is_person_N: npt.NDArray[np.bool_], missing: float | bool
) -> npt.NDArray[Any]:
    """Give the rows of frames with nobody a value that says so."""
    values_N = np.full((len(is_person_N), *values_P.shape[1:]), missing, values_P.dtype)
    values_N[is_person_N] = values_P
    return values_N
