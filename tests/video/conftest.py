"""Small real videos, written by the encoder under test or, where it cannot, by PyAV."""

import functools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseact.video.chunks import plan_chunks
from poseact.video.decode import decode_chunk
from poseact.video.encode import write_video
from poseact.video.probe import VideoInfo, probe

GREY_STEP = 4


def grey_frames(num_frames, height=48, width=64):
    """Frame i is one grey of value 4 i modulo 256: a decoded frame tells which one it is."""
    return [np.full((height, width, 3), GREY_STEP * i % 256, np.uint8) for i in range(num_frames)]


@pytest.fixture
def make_video(tmp_path):
    def make(name="video.mp4", *, num_frames=60, fps=30, height=48, width=64, **options):
        write_video(tmp_path / name, grey_frames(num_frames, height, width), fps=fps, **options)
        return str(tmp_path / name)

    return make


@pytest.fixture
def make_by_pyav(tmp_path):
    def make(
        name,
        pictures,
        *,
        codec="libx264",
        pix_fmt="yuv420p",
        pts=None,
        time_base=Fraction(1, 30),
        options=None,
        container_options=None,
        display_matrix=None,
        metadata=None,
    ):
        height, width = pictures[0].shape[:2]
        with av.open(tmp_path / name, "w", options=container_options or {}) as container:
            container.metadata.update(metadata or {})
            stream = container.add_stream(codec, 30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.time_base = stream.codec_context.time_base = time_base
            stream.codec_context.thread_count = 1
            if display_matrix is not None:
                stream.set_display_matrix(display_matrix)
            for i, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = i if pts is None else pts[i], time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return str(tmp_path / name)

    return make


@functools.cache
def noisy_frames(num_frames, height=96, width=128):
    """Frame i has the mean grey 4 i modulo 240, and noise: its packet is thousands of bytes."""
    rng = np.random.default_rng(0)
    noise = rng.integers(-8, 9, (num_frames, height, width, 3))
    grey = 8 + GREY_STEP * np.arange(num_frames) % 240
    pictures = np.clip(grey[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    pictures.flags.writeable = False
    return pictures


@pytest.fixture(scope="session")
def files_made():
    """Contents of files by what they were made from: encoding takes longer than all else."""
    return {}


@pytest.fixture
def make_noisy(make_by_pyav, files_made, tmp_path):
    """Files whose packets are large enough to be damaged at a chosen frame; a GOP is half a second.

    No frame refers to a later one, so packet i is frame i.
    """
    codecs = {".avi": "mpeg4", ".mpg": "mpeg2video"}
    fine = {"libx264": {"crf": "10"}, "mpeg4": {"qmax": "3"}, "mpeg2video": {"qmax": "3"}}

    def make(name, *, num_frames=60, codec=None, options=None, **more):
        codec = codec or codecs.get(name[-4:], "libx264")
        common = {"g": "15", "bf": "0", "sc_threshold": "0", **fine.get(codec, {})}
        options = {**common, **(options or {})}
        key = repr((name, num_frames, codec, options, more))
        if key not in files_made:
            uri = make_by_pyav(name, noisy_frames(num_frames), codec=codec, options=options, **more)
            files_made[key] = Path(uri).read_bytes()
        (tmp_path / name).write_bytes(files_made[key])
        return str(tmp_path / name)

    return make


@dataclass(frozen=True)
class Recovered:
    """What the package makes of a file."""

    info: VideoInfo
    frames: list[tuple[int, float, float]]
    """Index, seconds and mean grey of each frame."""
    damaged_s: list[float]
    missing_s: list[float]
    """Planned times without a frame."""
    offset: int
    """Grey of frame 0."""

    @property
    def indices(self):
        return [index for index, _, _ in self.frames]

    @property
    def times_s(self):
        return [time_s for _, time_s, _ in self.frames]

    @property
    def shown(self):
        """Which of the noisy or grey frames each is, told by its grey."""
        return [round((grey - self.offset) / GREY_STEP) for _, _, grey in self.frames]

    @property
    def is_whole(self):
        """Whether its row of the ``videos`` table would say ``ok``."""
        return len(self.frames) >= self.info.frames_expected and not self.damaged_s


@pytest.fixture
def recover():
    def run(uri, *, offset=0, max_frames=10**6):
        info = probe(uri)
        frames, damaged, missing = [], [], []
        for chunk in plan_chunks(info, max_bytes=max_frames * 3 * info.width * info.height):
            decoded = decode_chunk(chunk)
            frames += [(f.frame_index, f.pts_s, float(f.rgb_HWC.mean())) for f in decoded]
            damaged += sorted(decoded.report.damaged_pts)
            missing += decoded.report.missing_pts
        return Recovered(
            info=info,
            frames=frames,
            damaged_s=[float(pts * info.time_base) for pts in damaged],
            missing_s=[float(pts * info.time_base) for pts in missing],
            offset=offset,
        )

    return run


@pytest.fixture
def packets_of():
    """Byte position and size of each video packet, in the order of the file."""

    def packets(uri, *, keyframes_only=False):
        with av.open(uri) as container:
            held = [p for p in container.demux(video=0) if p.size]
            return [(p.pos, p.size) for p in held if p.is_keyframe or not keyframes_only]

    return packets


@pytest.fixture
def frame_shown():
    """Which of the grey frames a decoded picture is."""
    return lambda rgb_HWC: round(float(rgb_HWC.mean()) / GREY_STEP)
