"""A finished run with intervals of its recordings: stored joints become examples.

Shapes: N rows (one per frame and person), J = 7 joints in skeleton order.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.datasets.actions import ActionPoses
from poseact.datasets.intervals import Interval, check_consistent
from poseact.datasets.labels import LabelReport, class_names, report_labels
from poseact.datasets.sequences import ActionSequence, ActionSequences
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.models.features import is_measurable, normalise
from poseact.skeleton import HEAD, L_SHOULDER, NUM_JOINTS, R_SHOULDER
from poseact.storage import AnyPath
from poseact.timeline.decide import OTHER
from poseact.timeline.segments import SegmentRules
from poseact.timeline.tables import find_timelines, read_rows, read_videos
from poseact.tracking.rows import rows_of_tracks

_TRUNK: Final = [L_SHOULDER, HEAD, R_SHOULDER]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledRun:
    """What the recordings of a run teach, as single poses and as sequences."""

    poses: ActionPoses
    sequences: ActionSequences
    """Each a stretch of one person with one label."""

    report: LabelReport


def label_run(
    intervals: Sequence[Interval],
    out: Path,
    *,
    min_trunk_confidence: float = SegmentRules.min_trunk_confidence,
) -> LabelledRun:
    """Label the stored joints of a run.

    Only recordings that an interval names are used. There, whoever is in no interval does
    ``other``: label a recording wholly or not at all.

    Args:
        intervals: The labels.
        out: Folder of a run.
        min_trunk_confidence: Frames in which shoulders or head are less sure are left out, as no
            model is asked about them either.

    Returns:
        Poses and sequences; their group is the recording.

    Raises:
        InputError: If there is no run, or an interval names no recording of it, several, or a
            person who is not there, or contradicts another one.
    """
    uri_of = {row["video_id"]: row["uri"] for row in read_videos(out).to_dict("records")}
    by_video: dict[str, list[Interval]] = defaultdict(list)
    for interval in intervals:
        by_video[_find_video(interval, uri_of)].append(interval)
    timelines = find_timelines(out)
    classes = class_names([interval.label for interval in intervals])
    recordings = []
    for video_id, of_video in by_video.items():
        check_consistent(of_video)
        if video_id not in timelines:
            raise InputError(f"{of_video[0].where}: {uri_of[video_id]} could not be analyzed.")
        people = _People.read(timelines[video_id])
        recordings.append(
            _label(uri_of[video_id], people.clear(min_trunk_confidence), of_video, classes)
        )
    return _collect(recordings, intervals, classes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _People:
    """Who is seen in one recording."""

    pts_s_N: npt.NDArray[np.float64]
    track_N: npt.NDArray[np.int32]
    joints_NJ3: FloatArray
    num_unclear: int = 0

    @staticmethod
    def read(timeline: AnyPath) -> "_People":
        table = read_rows(timeline, ["pts_s", "track_id", "joints"])
        table = table.filter(table["track_id"].is_valid())
        joints = table["joints"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return _People(
            pts_s_N=table["pts_s"].to_numpy(),
            track_N=table["track_id"].to_numpy(),
            joints_NJ3=joints.reshape(-1, NUM_JOINTS, 3),
        )

    def clear(self, min_trunk_confidence: float) -> "_People":
        """Leave out who cannot be made out."""
        is_sure_N = (self.joints_NJ3[:, _TRUNK, 2] >= min_trunk_confidence).all(axis=1)
        is_clear_N = is_sure_N & is_measurable(self.joints_NJ3)
        return _People(
            pts_s_N=self.pts_s_N[is_clear_N],
            track_N=self.track_N[is_clear_N],
            joints_NJ3=self.joints_NJ3[is_clear_N],
            num_unclear=int((~is_clear_N).sum()),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Recording:
    """Who is seen in a recording, and what they do."""

    uri: str
    people: _People
    label_N: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def _label(
    uri: str, people: _People, intervals: Sequence[Interval], classes: tuple[str, ...]
) -> _Recording:
    label_N = np.full(len(people.track_N), classes.index(OTHER), np.int64)
    notes = []
    if people.num_unclear:
        notes.append(f"{uri}: shoulders or head unclear in {people.num_unclear} poses, left out")
    for interval in intervals:
        is_meant_N = _is_meant(people, interval)
        label_N[is_meant_N] = classes.index(interval.label)
        if not is_meant_N.any():
            notes.append(f"{interval.where}: nobody is made out in this interval")
        elif len(np.unique(people.pts_s_N[is_meant_N])) < is_meant_N.sum():
            notes.append(
                f"{interval.where}: labels several people at once; `track` tells them apart"
            )
    return _Recording(uri=uri, people=people, label_N=label_N, notes=tuple(notes))


def _is_meant(people: _People, interval: Interval) -> npt.NDArray[np.bool_]:
    starts_at, ends_at = interval.start_s, interval.end_s
    is_meant_N = np.asarray((people.pts_s_N >= starts_at) & (people.pts_s_N < ends_at))
    if interval.track is None:
        return is_meant_N
    is_its_track_N = people.track_N == interval.track
    if not is_its_track_N.any():
        raise InputError(
            f"{interval.where}: nobody made out in {interval.video} has track {interval.track}. "
            "poseact.read_timeline lists the tracks; without one, everybody is meant."
        )
    return np.asarray(is_meant_N & is_its_track_N)


def _collect(
    recordings: Sequence[_Recording], intervals: Sequence[Interval], classes: tuple[str, ...]
) -> LabelledRun:
    joints_NJ3 = np.concatenate([one.people.joints_NJ3 for one in recordings])
    if not len(joints_NJ3):
        raise InputError(f"{intervals[0].where}: nobody is made out in the labelled recordings.")
    poses = ActionPoses(
        joints_NJ3=normalise(joints_NJ3),
        labels_N=np.concatenate([one.label_N for one in recordings]),
        groups_N=np.repeat(
            [one.uri for one in recordings], [len(one.label_N) for one in recordings]
        ),
        classes=classes,
    )
    sequences = tuple(itertools.chain.from_iterable(map(_stretches, recordings)))
    notes = [note for one in recordings for note in one.notes]
    return LabelledRun(
        poses=poses,
        sequences=ActionSequences(sequences=sequences, classes=classes),
        report=report_labels(poses, "poses", notes=notes),
    )


def _stretches(recording: _Recording) -> Iterator[ActionSequence]:
    people, label_N = recording.people, recording.label_N
    for rows in rows_of_tracks(people.track_N, people.pts_s_N):
        borders = np.flatnonzero(np.diff(label_N[rows])) + 1
        for stretch in np.split(rows, borders):
            yield ActionSequence(
                joints_TJ3=people.joints_NJ3[stretch],
                pts_s_T=people.pts_s_N[stretch],
                label=int(label_N[stretch[0]]),
                group=recording.uri,
            )


def _find_video(interval: Interval, uri_of: Mapping[str, str]) -> str:
    found = [
        video_id
        for video_id, uri in uri_of.items()
        if interval.video in {video_id, uri, Path(uri).name, Path(uri).stem}
    ]
    if len(found) != 1:
        known = "no recording" if not found else f"{len(found)} recordings"
        raise InputError(
            f"{interval.where}: the run has {known} called {interval.video!r}. Give the path or "
            "the video_id; poseact.read_videos lists them."
        )
    return found[0]
