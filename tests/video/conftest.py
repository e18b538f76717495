"""Small real videos, written by the encoder under test or, where it cannot, by PyAV."""

from fractions import Fraction

import av
import numpy as np
import pytest

from poseact.video.encode import write_video

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
    def make(name, pictures, *, options=None, display_matrix=None, metadata=None):
        height, width = pictures[0].shape[:2]
        with av.open(tmp_path / name, "w") as container:
            container.metadata.update(metadata or {})
            stream = container.add_stream("libx264", 30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if display_matrix is not None:
                stream.set_display_matrix(display_matrix)
            for i, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return str(tmp_path / name)

    return make


@pytest.fixture
def frame_shown():
    """Which of the grey frames a decoded picture is."""
    return lambda rgb_HWC: round(float(rgb_HWC.mean()) / GREY_STEP)
