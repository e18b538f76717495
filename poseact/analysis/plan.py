"""From what the user named to units of work: find, probe and cut up recordings."""

import dataclasses
import hashlib
from collections.abc import Callable, Container, Sequence

from poseact.analysis.ledger import PlannedVideo
from poseact.errors import InputError, VideoError
from poseact.video.chunks import plan_chunks
from poseact.video.find import find_videos
from poseact.video.probe import probe, video_id_of


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
    """What there is to do."""

    videos: tuple[PlannedVideo, ...]
    """Videos to analyse."""

    unreadable: tuple[UnreadableVideo, ...]
    """Files that cannot be analysed."""

    done_ids: tuple[str, ...]
    """Videos that an earlier run finished."""


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
    uris: set[str] = set()
    missing: list[str] = []
    for pattern in patterns:
        try:
            uris.update(find_videos([pattern]))
        except InputError as error:
            missing.append(str(error))
    if not uris:
        raise InputError(" ".join(missing))
    return Inputs(uris=tuple(sorted(uris)[:limit]), missing=tuple(missing))


def make_plan(
    uris: Sequence[str],
    *,
    chunk_bytes: int,
    done_ids: Container[str] = (),
    recorded: Callable[[str], PlannedVideo | None] = lambda _: None,
) -> Plan:
    """Probe files and cut them into chunks.

    Args:
        uris: Absolute paths.
        chunk_bytes: Decoded pixels of a chunk, where its video allows it.
        done_ids: Videos that need nothing more.
        recorded: Returns the plan that an interrupted run made for a video id; its chunks are
            kept, since some of them may be done.

    Returns:
        The plan; a file that cannot be read is part of it.
    """
    videos: list[PlannedVideo] = []
    unreadable: list[UnreadableVideo] = []
    done: list[str] = []
    for uri in uris:
        try:
            video_id = video_id_of(uri)
            if video_id in done_ids:
                done.append(video_id)
            else:
                videos.append(recorded(video_id) or _planned(uri, chunk_bytes))
        except VideoError as error:
            unreadable.append(_unreadable(uri, error))
    return Plan(videos=tuple(videos), unreadable=tuple(unreadable), done_ids=tuple(done))


def _planned(uri: str, chunk_bytes: int) -> PlannedVideo:
    info = probe(uri)
    return PlannedVideo(info=info, chunks=tuple(plan_chunks(info, max_bytes=chunk_bytes)))


def _unreadable(uri: str, error: VideoError) -> UnreadableVideo:
    try:
        video_id = video_id_of(uri)
    except VideoError:  # there is no file whose size and time could be hashed
        video_id = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return UnreadableVideo(
        uri=uri, video_id=video_id, error_kind=type(error).__name__, error=str(error)
    )
