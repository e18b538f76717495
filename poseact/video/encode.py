"""Frames to a video file that any browser plays."""

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseact.errors import OutputError
from poseact.geometry import ImageArray

_MOV_SUFFIXES = frozenset({".mp4", ".m4v", ".mov"})
"""Containers whose index can be at the end, so that a browser would fetch all before it plays."""

_MAX_DENOMINATOR = 1001
"""Keeps frame rates such as 30000/1001 exact when they come as a float."""


def write_video(  # noqa: PLR0913 - what an encoder needs to be told
    path: str | Path,
    frames: Iterable[ImageArray],
    *,
    fps: float | Fraction,
    pts: Iterable[int] | None = None,
    time_base: Fraction | None = None,
    gop_size: int | None = None,
    max_b_frames: int | None = None,
) -> int:
    """Write frames as H.264 yuv420p with the index in front; the file appears once complete.

    Args:
        path: File to write; its ending selects the container.
        frames: Pictures of one size, (H, W, 3), uint8, RGB. Odd sides are padded to even ones by
            repeating the last row or column: chroma has half the resolution.
        fps: Frame rate; nominal if ``pts`` is given.
        pts: Presentation time of each frame, ticks of ``time_base``, increasing; None spaces the
            frames evenly from 0.
        time_base: Seconds per tick of ``pts``; None means ``1 / fps``.
        gop_size: Frames from one keyframe to the next; None leaves it to the encoder, which then
            also puts one at each change of scene.
        max_b_frames: Frames in a row that may refer to later ones; None leaves it to the encoder.

    Returns:
        Number of frames written.

    Raises:
        OutputError: If the file cannot be written.
        ValueError: If there is no frame.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
    timed = zip(frames, itertools.count() if pts is None else pts, strict=False)
    base = time_base or 1 / rate
    pictures = (_picture(frame, tick, base) for frame, tick in timed)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: a video needs at least one frame")
    options = {"movflags": "+faststart"} if path.suffix.lower() in _MOV_SUFFIXES else {}
    partial = path.with_name(f".partial-{path.name}")
    try:
        with av.open(partial, "w", options=options) as container:
            stream = _h264_stream(
                container, first, rate, base, _x264_options(gop_size, max_b_frames)
            )
            num_frames = _encode(container, stream, itertools.chain([first], pictures))
        partial.replace(path)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
    return num_frames


def _x264_options(gop_size: int | None, max_b_frames: int | None) -> dict[str, str]:
    gop = {} if gop_size is None else {"g": str(gop_size), "sc_threshold": "0"}
    return gop if max_b_frames is None else {**gop, "bf": str(max_b_frames)}


def _h264_stream(
    container: OutputContainer,
    first: VideoFrame,
    rate: Fraction,
    time_base: Fraction,
    options: dict[str, str],
) -> VideoStream:
    stream = container.add_stream("libx264", rate, options=options)
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
    stream.time_base = stream.codec_context.time_base = time_base
    stream.codec_context.thread_count = 1  # the bytes then do not depend on the machine
    return stream


def _encode(container: OutputContainer, stream: VideoStream, pictures: Iterable[VideoFrame]) -> int:
    num_frames = 0
    for picture in pictures:
        container.mux(stream.encode(picture))
        num_frames += 1
    container.mux(stream.encode(None))
    return num_frames


def _picture(frame_HWC: ImageArray, tick: int, time_base: Fraction) -> VideoFrame:
    height, width = frame_HWC.shape[:2]
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    picture = VideoFrame.from_ndarray(np.pad(frame_HWC, padding, mode="edge"), format="rgb24")
    picture.pts = tick
    picture.time_base = time_base
    return picture
