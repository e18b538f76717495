"""The overlay: a recording with everybody's box, number, skeleton and action drawn on it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tqdm import tqdm

from poseact.geometry import ImageArray
from poseact.review.draw import color_of_track, draw_box, draw_pose, hide_all, hide_head
from poseact.review.people import FramePeople, Person, read_people
from poseact.timeline.tables import OutFolder
from poseact.video.chunks import plan_chunks
from poseact.video.decode import Frame, decode_chunk
from poseact.video.encode import write_video
from poseact.video.probe import VideoInfo, probe

_CHUNK_BYTES: Final = 1024**3
"""Decoded pixels after which decoding starts anew, at a keyframe: it costs little, and a recording
that is broken in one place is read again after it."""

_WHOLE_RUNS: Final = 2**62
"""Runs are not cut: each piece would be decoded from the keyframe of its run, again and again."""

_BOX_OVER_BONE: Final = 100
"""Height of a person's box over the width of a bone, so that a small person is not painted over."""

_TimedPicture: TypeAlias = tuple[int, ImageArray]
"""Presentation time, in ticks, and picture."""


def write_overlay(out: OutFolder, uri: str, video_id: str, path: Path, *, hide_heads: bool) -> int:
    """Write a recording as H.264 with what its timeline says drawn on it.

    Frames are shown when the recording shows them, upright. They are decoded, drawn and encoded one
    by one: memory does not depend on how long the recording is.

    Args:
        out: Folder of the run.
        uri: Recording.
        video_id: Its name in the timeline.
        path: File to write; its folder must exist.
        hide_heads: Put a mosaic over the head of everybody in the timeline. Somebody whom the
            analysis did not find keeps the face that the recording shows.

    Returns:
        Number of frames written.

    Raises:
        InputError: If the recording has no timeline.
        VideoError: If the recording cannot be read.
        OutputError: If the file cannot be written.
    """
    info = probe(uri)
    people = read_people(out, video_id)
    drawn = draw_frames(decode(info), people, hide_heads=hide_heads)
    shown = tqdm(drawn, path.name, info.frames_expected, unit="frame", leave=False, disable=None)
    for_times, for_pictures = itertools.tee(shown)
    # a player drops what comes before 0
    late_ticks = max(0, -info.start_pts)
    return write_video(
        path,
        (picture for _, picture in for_pictures),
        fps=info.fps_nominal,
        pts=(pts + late_ticks for pts, _ in for_times),
        time_base=info.time_base,
    )


def decode(info: VideoInfo) -> Iterator[Frame]:
    """Yield the frames of a recording, each decoded once.

    Raises:
        VideoError: If the recording cannot be read.
    """
    for chunk in plan_chunks(info, max_bytes=_CHUNK_BYTES, max_run_bytes=_WHOLE_RUNS):
        yield from decode_chunk(chunk)


def draw_frames(
    frames: Iterable[Frame], people: Iterator[FramePeople], *, hide_heads: bool
) -> Iterator[_TimedPicture]:
    """Draw the people of each frame on it.

    Args:
        frames: Of the recording, in order.
        people: Of the same recording, in order.
        hide_heads: As for ``write_overlay``.

    Yields:
        Each frame. One that nobody is in is as it was; one that was not analysed, as where a
        recording is damaged, is hidden altogether if heads are: nobody knows who is in it.
    """
    known = next(people, None)
    for frame in frames:
        while known is not None and known.frame_index < frame.frame_index:
            known = next(people, None)
        if known is not None and known.frame_index == frame.frame_index:
            picture = draw_people(frame.rgb_HWC, known.people, hide_heads=hide_heads)
        else:
            picture = hide_all(frame.rgb_HWC) if hide_heads else frame.rgb_HWC
        yield frame.pts, picture


def draw_people(rgb_HWC: ImageArray, people: Sequence[Person], *, hide_heads: bool) -> ImageArray:
    """Draw people on a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        people: Those in it; somebody who is only taken to be there is hidden, not drawn.
        hide_heads: As for ``write_overlay``.

    Returns:
        Picture of the same size.
    """
    picture = rgb_HWC
    if hide_heads:
        for person in people:
            picture = hide_head(picture, person.joints_J3, person.box_xyxy)
    for person in people:
        if person.doing is not None:
            picture = _draw_person(picture, person)
    return picture


def _draw_person(rgb_HWC: ImageArray, person: Person) -> ImageArray:
    height_px = float(person.box_xyxy[3] - person.box_xyxy[1])
    width_px = max(1, round(height_px / _BOX_OVER_BONE))
    picture = draw_pose(rgb_HWC, person.joints_J3, confidences=False, width_px=width_px)
    text = f"{person.track_id} {person.doing}"
    return draw_box(picture, person.box_xyxy, text, color_of_track(person.track_id))
