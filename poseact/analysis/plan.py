"""From what the user named to units of work: find, probe and cut up recordings.

The parts that many workers do at once return a few bytes for each video, however long it is: what
was planned stays in the work folder.
"""

import dataclasses
import hashlib
from collections.abc import Container, Iterable, Sequence

from poseact.analysis.ledger import PlannedVideo, Work
from poseact.analysis.run import Run
from poseact.errors import InputError, VideoError
from poseact.video.chunks import plan_chunks
from poseact.video.find import find_videos, shown
from poseact.video.probe import VideoInfo, probe, video_id_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the user's patterns stand for."""

    uris: tuple[str, ...]
    """Absolute paths, sorted, each once."""

    missing: tuple[str, ...]
    """One message for each pattern that stands for nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnreadableVideo:
    """A file that is no video, or not one that can be read."""

    uri: str
    video_id: str
    error_kind: str
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is to do, in full."""

    videos: tuple[PlannedVideo, ...] = ()
    """Videos to analyse."""

    unreadable: tuple[UnreadableVideo, ...] = ()
    """Files that cannot be analysed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outline:
    """What there is to do, as a dry run tells it."""

    infos: tuple[VideoInfo, ...] = ()
    """Of the videos to analyse."""

    num_chunks: int = 0

    unreadable: tuple[UnreadableVideo, ...] = ()

    @staticmethod
    def joined(parts: Iterable["Outline"]) -> "Outline":
        """Join what several workers found."""
        parts = list(parts)
        return Outline(
            infos=tuple(info for part in parts for info in part.infos),
            num_chunks=sum(part.num_chunks for part in parts),
            unreadable=tuple(video for part in parts for video in part.unreadable),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """A video whose plan is in the work folder: what the driver needs to know of it."""

    video_id: str
    uri: str
    duration_s: float

    num_frames: int
    """Frames in its chunks."""

    pending: tuple[int, ...]
    """Chunks without a receipt, by their place in the plan."""

    num_pending_frames: int
    """Frames in those."""

    largest_chunk_bytes: int
    """Decoded pixels of the largest of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedPlan:
    """What there is to do, as the driver knows it."""

    videos: tuple[Planned, ...] = ()
    unreadable: tuple[UnreadableVideo, ...] = ()

    done_ids: tuple[str, ...] = ()
    """Videos that an earlier run finished."""

    @staticmethod
    def joined(parts: Iterable["RecordedPlan"]) -> "RecordedPlan":
        """Join what several workers planned."""
        parts = list(parts)
        return RecordedPlan(
            videos=tuple(video for part in parts for video in part.videos),
            unreadable=tuple(video for part in parts for video in part.unreadable),
            done_ids=tuple(video_id for part in parts for video_id in part.done_ids),
        )


def find_inputs(patterns: Sequence[str], limit: int | None = None) -> Inputs:
    """List the files that patterns stand for.

    Args:
        patterns: Files, folders or globs.
        limit: Keep the first so many files.

    Returns:
        The files; a pattern that stands for none does not hide the others.

    Raises:
        InputError: If no pattern stands for any file.
    """
    return join_inputs(map(find_pattern, patterns), limit)


def find_pattern(pattern: str) -> Inputs:
    """List the files that one pattern stands for; none at all is a message, not an error."""
    try:
        return Inputs(uris=tuple(find_videos([pattern])), missing=())
    except InputError as error:
        return Inputs(uris=(), missing=(str(error),))


def join_inputs(found: Iterable[Inputs], limit: int | None = None) -> Inputs:
    """Join what several patterns stand for, as ``find_inputs`` does for all."""
    found = list(found)
    uris = {uri for inputs in found for uri in inputs.uris}
    missing = tuple(message for inputs in found for message in inputs.missing)
    if not uris:
        raise InputError(" ".join(missing))
    return Inputs(uris=tuple(sorted(uris)[:limit]), missing=missing)


def make_plan(uris: Sequence[str], *, chunk_bytes: int) -> Plan:
    """Probe files and cut them into chunks.

    Args:
        uris: Absolute paths.
        chunk_bytes: Decoded pixels of a chunk, where its video allows it.

    Returns:
        The plan; a file that cannot be read is part of it.
    """
    videos: list[PlannedVideo] = []
    unreadable: list[UnreadableVideo] = []
    for uri in uris:
        try:
            videos.append(_planned(uri, chunk_bytes))
        except VideoError as error:
            unreadable.append(_unreadable(uri, error))
    return Plan(videos=tuple(videos), unreadable=tuple(unreadable))


def make_outline(uris: Sequence[str], *, chunk_bytes: int) -> Outline:
    """Plan as ``make_plan`` does; keep what a dry run tells."""

    def outline(plan: Plan) -> Outline:
        return Outline(
            infos=tuple(video.info for video in plan.videos),
            num_chunks=sum(len(video.chunks) for video in plan.videos),
            unreadable=plan.unreadable,
        )

    return Outline.joined(outline(make_plan([uri], chunk_bytes=chunk_bytes)) for uri in uris)


def record_plan(
    uris: Sequence[str],
    run: Run,
    *,
    chunk_bytes: int,
    done_ids: Container[str] = (),
    read_timeout_s: float,
) -> RecordedPlan:
    """Plan some of a run's files and write the plan down.

    A video that an interrupted run planned keeps its chunks, since some of them may be done. One on
    which probing crashes or hangs is set aside after three tries, like a chunk.

    Args:
        uris: Absolute paths.
        run: The run.
        chunk_bytes: Decoded pixels of a chunk, where its video allows it.
        done_ids: Videos that need nothing more.
        read_timeout_s: Seconds that reading a packet may take.

    Returns:
        What is written down, and what cannot be planned.

    Raises:
        OutputError: If the work folder cannot be written.
    """
    videos: list[Planned] = []
    unreadable: list[UnreadableVideo] = []
    done: list[str] = []
    for uri in uris:  # one after the other: the plan of a day's recording takes megabytes
        try:
            video_id = video_id_of(uri)
            if video_id in done_ids:
                done.append(video_id)
            else:
                video = _recorded(uri, video_id, run.work, chunk_bytes, read_timeout_s)
                videos.append(_pending(video, run.work.done_ids(video_id)))
        except VideoError as error:
            unreadable.append(_unreadable(uri, error))
    return RecordedPlan(videos=tuple(videos), unreadable=tuple(unreadable), done_ids=tuple(done))


def _recorded(
    uri: str, video_id: str, work: Work, chunk_bytes: int, read_timeout_s: float
) -> PlannedVideo:
    """Return the plan of a video that is in the work folder, from now on at least."""
    if video := work.load_plan(video_id):
        return video
    with work.attempts.start(video_id, "probing", read_timeout_s) as attempt:
        if attempt.poison:
            reason = f"{shown(uri)}: {attempt.poison.error}"
            raise _PoisonError(attempt.poison.error_kind, reason)
        video = _planned(uri, chunk_bytes)
    # a plan that was lost may have had other borders, and chunks are named by their start alone
    work.forget(video_id)
    work.save_plan(video)
    return video


class _PoisonError(VideoError):
    """A file on which probing crashed, hung or was killed time and again."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _pending(video: PlannedVideo, done_chunks: Container[str]) -> Planned:
    pending = [p for p, chunk in enumerate(video.chunks) if chunk.chunk_id not in done_chunks]
    frames = [video.chunks[place].num_frames for place in pending]
    return Planned(
        video_id=video.info.video_id,
        uri=video.info.uri,
        duration_s=video.info.duration_s,
        num_frames=sum(chunk.num_frames for chunk in video.chunks),
        pending=tuple(pending),
        num_pending_frames=sum(frames),
        largest_chunk_bytes=3 * video.info.width * video.info.height * max(frames, default=0),
    )


def _planned(uri: str, chunk_bytes: int) -> PlannedVideo:
    info = probe(uri)
    return PlannedVideo(info=info, chunks=tuple(plan_chunks(info, max_bytes=chunk_bytes)))


def _unreadable(uri: str, error: VideoError) -> UnreadableVideo:
    try:
        video_id = video_id_of(uri)
    except VideoError:  # there is no file whose size and time could be hashed
        video_id = hashlib.sha256(uri.encode(errors="surrogateescape")).hexdigest()[:16]
    kind = error.kind if isinstance(error, _PoisonError) else type(error).__name__
    return UnreadableVideo(uri=uri, video_id=video_id, error_kind=kind, error=str(error))
