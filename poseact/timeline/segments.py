"""Rules that turn scores over time into segments worth a look.

Shapes: T frames in order of time, A actions. All times are seconds of presentation time, so that
a rule means the same at any frame rate, constant or not.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.errors import ConfigError
from poseact.timeline.decide import OTHER

ScoreArray: TypeAlias = npt.NDArray[np.float32]
TimeArray: TypeAlias = npt.NDArray[np.float64]
IndexArray: TypeAlias = npt.NDArray[np.int64]

TIME_TOLERANCE_S = 1e-6
"""Slack when durations are compared: 0.7 - 0.2 is below 0.5 in floats. Finer than the 11 us of the
finest common time base (90 kHz)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentRules:
    """Decide when an action is named, and when it is worth a reviewer's look."""

    on: float = 0.6
    """Score that starts a segment."""

    off: float = 0.4
    """Score below which it ends; the space between keeps a hovering score from flickering."""

    min_duration_s: float = 0.5
    """Shorter segments are dropped, after merging."""

    merge_gap_s: float = 0.5
    """Segments of one action and person at most this far apart become one; 0 merges none."""

    min_mean_score: float = 0.7
    """Segments whose mean score is lower are dropped, after merging. People who wave or greet reach
    0.92 and more; on 2.4 minutes of other recordings all four false segments are below 0.7."""

    alert_score: float = 0.9
    """Peak score from which a segment is an ``alert`` and not just a ``detection``."""

    min_score: float = 0.5
    """Score below which the timeline names no action for a frame; changes no segment."""

    min_trunk_confidence: float = 0.5
    """Confidence of shoulders and head below which they count as not seen, so that the action
    model can tell nothing. In 1,078 frames of people plain to see none is below 0.88; with it goes
    the one false namaste of 21 other clips."""

    def __post_init__(self) -> None:
        if not 0 <= self.off <= self.on <= 1:
            raise ConfigError(f"need 0 <= off <= on <= 1, got off={self.off}, on={self.on}")
        for name in ("min_mean_score", "alert_score", "min_score", "min_trunk_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        for name in ("min_duration_s", "merge_gap_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def describe(self) -> str:
        """Return the rule as written to the ``rule`` column."""
        return (
            f"hysteresis on={self.on:g} off={self.off:g} min_duration_s={self.min_duration_s:g} "
            f"merge_gap_s={self.merge_gap_s:g} min_mean_score={self.min_mean_score:g} "
            f"alert_score={self.alert_score:g} "
            f"min_trunk_confidence={self.min_trunk_confidence:g}"
        )


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch in which one person does one action; fields are columns of ``segments``."""

    action: str
    start_s: float
    end_s: float
    start_frame: int
    end_frame: int
    peak_score: float
    mean_score: float
    peak_s: float
    severity: str


def segments_from_scores(  # noqa: PLR0913 - three arrays, their names, the rules
    scores_TA: ScoreArray,
    pts_s_T: TimeArray,
    actions: Sequence[str],
    rules: SegmentRules,
    *,
    frame_index_T: IndexArray,
    ignore: Sequence[str] = (OTHER,),
) -> list[Segment]:
    """Find the stretches in which each action of one person is active.

    An action starts on the first frame scoring at least ``on`` and ends on the first later one
    that scores below ``off`` or has no score. Then segments of one action at most ``merge_gap_s``
    apart become one, whatever lies between (a lost detection of a few frames must not cut an
    event in two), and those shorter than ``min_duration_s``, or below ``min_mean_score`` in the
    mean, are dropped. Actions may overlap.

    Args:
        scores_TA: Probability of each action in each frame, (T, A), in [0, 1]; NaN means "nobody
            in view" and ends every action. Give every analysed frame, so that a segment ends
            when the person leaves and not when they are next seen.
        pts_s_T: Presentation time of each frame, (T,), seconds, increasing; not index / fps.
        actions: Name of each score column, length A.
        rules: Thresholds and durations.
        frame_index_T: Index of each frame in its video, (T,).
        ignore: Actions that never make a segment.

    Returns:
        Segments by start time, then action. Ends are the first frame after the segment; after the
        last frame of all that is one median frame step later, and its index plus one.

    Raises:
        ValueError: If the shapes disagree or time does not increase.

    Source:
        Hysteresis thresholding as in Canny (1986), over time instead of space.
    """
    _check(scores_TA, pts_s_T, actions, frame_index_T)
    if not len(pts_s_T):
        return []
    last_step_s = float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 0.0
    edges_s = np.append(pts_s_T, pts_s_T[-1] + last_step_s)
    edges_frame = np.append(frame_index_T, frame_index_T[-1] + 1)
    found = [
        _segment(action, scores_TA[:, a], (edges_s, edges_frame), run, rules.alert_score)
        for a, action in enumerate(actions)
        if action not in ignore
        for run in _runs(scores_TA[:, a], edges_s, rules)
    ]
    lasting = [segment for segment in found if segment.mean_score >= rules.min_mean_score]
    return sorted(lasting, key=lambda segment: (segment.start_s, segment.action))


def _check(
    scores_TA: ScoreArray, pts_s_T: TimeArray, actions: Sequence[str], frame_index_T: IndexArray
) -> None:
    num_frames = len(pts_s_T)
    if scores_TA.shape != (num_frames, len(actions)) or frame_index_T.shape != (num_frames,):
        raise ValueError(
            f"need scores ({num_frames}, {len(actions)}) and frame_index ({num_frames},) for "
            f"{num_frames} times and {len(actions)} actions, "
            f"got {scores_TA.shape} and {frame_index_T.shape}"
        )
    if (np.diff(pts_s_T) <= 0).any():
        raise ValueError("pts_s_T must increase from frame to frame")


def _runs(score_T: ScoreArray, edges_s: TimeArray, rules: SegmentRules) -> list[tuple[int, int]]:
    """Return the first frame of each run and the first one after it."""
    merged: list[tuple[int, int]] = []
    for first, after in _active_runs(score_T, rules):
        gap_s = edges_s[first] - edges_s[merged[-1][1]] if merged else np.inf
        if gap_s <= rules.merge_gap_s + TIME_TOLERANCE_S:
            merged[-1] = (merged[-1][0], after)
        else:
            merged.append((first, after))
    shortest_s = rules.min_duration_s - TIME_TOLERANCE_S
    return [run for run in merged if edges_s[run[1]] - edges_s[run[0]] >= shortest_s]


def _active_runs(score_T: ScoreArray, rules: SegmentRules) -> list[tuple[int, int]]:
    # `not >=` and not `<`, so that NaN ends a run
    switch_T = np.where(score_T >= rules.on, 1, np.where(score_T >= rules.off, 0, -1))
    last_switch_T = np.maximum.accumulate(np.where(switch_T != 0, np.arange(len(score_T)), 0))
    active_T = switch_T[last_switch_T] == 1
    steps = np.diff(np.concatenate(([0], active_T.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _segment(
    action: str,
    score_T: ScoreArray,
    edges: tuple[TimeArray, IndexArray],
    run: tuple[int, int],
    alert_score: float,
) -> Segment:
    edges_s, edges_frame = edges
    first, after = run
    inside = score_T[first:after]
    peak = int(np.nanargmax(inside))
    return Segment(
        action=action,
        start_s=float(edges_s[first]),
        end_s=float(edges_s[after]),
        start_frame=int(edges_frame[first]),
        end_frame=int(edges_frame[after]),
        peak_score=float(inside[peak]),
        mean_score=float(np.nanmean(inside, dtype=np.float64)),
        peak_s=float(edges_s[first + peak]),
        severity="alert" if inside[peak] >= alert_score else "detection",
    )


def segment_row(  # noqa: PLR0913 - the columns that a segment alone does not know
    segment: Segment,
    *,
    video_id: str,
    track_id: int,
    hand: str | None,
    start_utc: datetime | None,
    rules: SegmentRules,
    config_hash: str,
    model_id: str,
) -> dict[str, object]:
    """Make the row of the ``segments`` table for one segment.

    Args:
        segment: What was found.
        video_id: Video it was found in.
        track_id: Person who did it.
        hand: left, right, both, or None where no hand is concerned.
        start_utc: When the video starts, timezone-aware, or None if unknown.
        rules: Rules that found it.
        config_hash: Of the run.
        model_id: Model that scored it.

    Returns:
        Every column of ``segments``.
    """
    return {
        "segment_id": segment_id(video_id, track_id, segment.action, segment.start_frame),
        "video_id": video_id,
        "track_id": track_id,
        "hand": hand,
        **dataclasses.asdict(segment),
        "start_utc": start_utc and start_utc + timedelta(seconds=segment.start_s),
        "end_utc": start_utc and start_utc + timedelta(seconds=segment.end_s),
        "rule": rules.describe(),
        "config_hash": config_hash,
        "model_id": model_id,
    }


def segment_id(video_id: str, track_id: int, action: str, start_frame: int) -> str:
    """Name a segment the same in every run over the same video, so that verdicts stay attached."""
    key = f"{video_id}/{track_id}/{action}/{start_frame}"
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def smooth_scores(scores_TA: ScoreArray, pts_s_T: TimeArray, window_s: float = 0.3) -> ScoreArray:
    """Average the scores of one person over a window of time around each frame.

    Args:
        scores_TA: Scores, (T, A); NaN where nobody is in view.
        pts_s_T: Presentation time of each frame, (T,), seconds, increasing.
        window_s: Width of the window, centred on the frame; 0 changes nothing.

    Returns:
        Mean of the scores in the window, (T, A), float32. NaN stays NaN and weighs nothing in
        its neighbours.
    """
    seen_TA = np.isfinite(scores_TA)
    half_s = window_s / 2 + TIME_TOLERANCE_S
    first_T = np.searchsorted(pts_s_T, pts_s_T - half_s, side="left")
    after_T = np.searchsorted(pts_s_T, pts_s_T + half_s, side="right")

    def window_sum(values_TA: npt.NDArray[np.generic]) -> TimeArray:
        total = np.zeros((len(values_TA) + 1, values_TA.shape[1]))
        np.cumsum(values_TA, axis=0, dtype=np.float64, out=total[1:])
        return total[after_T] - total[first_T]

    total_TA = window_sum(np.where(seen_TA, scores_TA, 0))
    mean_TA = total_TA / np.maximum(window_sum(seen_TA), 1)
    return np.where(seen_TA, mean_TA, np.nan).astype(np.float32)
