"""What the people of a video do, as far as the action model can tell.

Shape letters: N rows (one per frame and person, one for a frame with nobody), T frames from the
first to the last of one person, J = 7 joints, A actions.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from poseact.analysis.run import Run
from poseact.analysis.tracks import Tracks
from poseact.geometry import FloatArray
from poseact.models.features import raised_hand
from poseact.skeleton import HEAD, L_SHOULDER, R_SHOULDER
from poseact.timeline.decide import OTHER
from poseact.timeline.segments import Segment, segments_from_scores, smooth_scores

HANDED_ACTION: Final = "hello"
"""The action that one hand or both can do, so that its segments say which."""

_TRUNK: Final = [L_SHOULDER, HEAD, R_SHOULDER]  # what every pose is measured against


class ActionModel(Protocol):
    """What is needed of an action classifier."""

    def score(self, joints_TJ3: FloatArray, pts_s_T: npt.NDArray[np.float64]) -> FloatArray:
        """Return probabilities (T, A) for one person through time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """The people of a video and what they do."""

    tracks: Tracks

    is_clear_N: npt.NDArray[np.bool_]
    """Whether shoulders and head are made out."""

    scores_NA: FloatArray
    """Probability of each action, smoothed over time; NaN where there is no person."""

    segments: tuple[tuple[int, Segment], ...]
    """Track and segment of whatever is worth a look."""

    @property
    def num_segments(self) -> Counter[str]:
        """Number of segments of each action that has any."""
        return Counter(segment.action for _, segment in self.segments)

    def peaks(self, actions: tuple[str, ...]) -> dict[str, float]:
        """Return the highest score of each action that can make a segment."""
        scores_NA = self.scores_NA[self.tracks.people.is_person_N]
        if not len(scores_NA):
            return {}
        peaks = dict(zip(actions, scores_NA.max(axis=0).tolist(), strict=True))
        return {action: peak for action, peak in peaks.items() if action != OTHER}


def find_actions(tracks: Tracks, model: ActionModel, run: Run) -> Findings:
    """Score what everybody does, smooth it over time, and find the segments.

    Args:
        tracks: The people of a video.
        model: Scores what one person does; its columns are the run's actions.
        run: The run.
    """
    people = tracks.people
    is_seen_N3 = people.joints_NJ3[:, _TRUNK, 2] >= run.rules.min_trunk_confidence
    joints_NJ3 = people.joints_NJ3.copy()
    joints_NJ3[:, _TRUNK, :2] = np.where(is_seen_N3[..., None], joints_NJ3[:, _TRUNK, :2], np.nan)
    is_clear_N = np.asarray(np.isfinite(joints_NJ3[:, _TRUNK, :2]).all(axis=(1, 2)))

    scores_NA = np.full((len(joints_NJ3), len(run.actions)), np.nan, np.float32)
    # person by person, in order of time: the scores depend on nobody else, to the last bit
    for _, rows in tracks.rows_of_each():
        pts_s_T = people.pts_s_N[rows]
        scores_NA[rows] = smooth_scores(model.score(joints_NJ3[rows], pts_s_T), pts_s_T)
    return Findings(
        tracks=tracks,
        is_clear_N=is_clear_N,
        scores_NA=scores_NA,
        segments=tuple(_find_segments(tracks, scores_NA, run)),
    )


def hand_of(segment: Segment, track: int, tracks: Tracks) -> str | None:
    """Return the hand or hands that the person holds up in most frames of a segment."""
    if segment.action != HANDED_ACTION:
        return None
    frame_N = tracks.people.frame_index_N
    is_inside_N = (frame_N >= segment.start_frame) & (frame_N < segment.end_frame)
    hands = raised_hand(tracks.people.joints_NJ3[is_inside_N & (tracks.track_N == track)])
    seen = Counter(hand for hand in hands if hand is not None)
    return seen.most_common(1)[0][0] if seen else None


def _find_segments(
    tracks: Tracks, scores_NA: FloatArray, run: Run
) -> Iterator[tuple[int, Segment]]:
    people = tracks.people
    frame_T, first_row_T = np.unique(people.frame_index_N, return_index=True)
    pts_s_T = people.pts_s_N[first_row_T]
    for track, rows in tracks.rows_of_each():
        rank = np.searchsorted(frame_T, people.frame_index_N[rows])
        # one frame more than the person has: in it they are gone, which ends what they did
        span = slice(rank[0], rank[-1] + 2)
        scores_TA = np.full((len(frame_T[span]), len(run.actions)), np.nan, np.float32)
        scores_TA[rank - rank[0]] = scores_NA[rows]
        for segment in segments_from_scores(
            scores_TA, pts_s_T[span], run.actions, run.rules, frame_index_T=frame_T[span]
        ):
            yield track, segment
