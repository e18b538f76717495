import av
import numpy as np
import pytest

from poseact.errors import OutputError
from poseact.video.chunks import plan_chunks
from poseact.video.decode import decode_chunk
from poseact.video.encode import write_video
from poseact.video.probe import probe


def test_browsers_play_it(make_video):
    uri = make_video(num_frames=10)

    with av.open(uri) as container, open(uri, "rb") as file:  # noqa: PTH123 - two in one with
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        content = file.read()
        assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_colours_survive(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = (220, 40, 60)
    picture[:, 32:] = (30, 90, 200)

    assert write_video(tmp_path / "v.mp4", [picture] * 3, fps=10) == 3

    (chunk,) = plan_chunks(probe(str(tmp_path / "v.mp4")), max_bytes=10**9)
    for frame in decode_chunk(chunk):
        difference = np.abs(frame.rgb_HWC.astype(int) - picture)
        assert difference[:, :30].max() < 10
        assert difference[:, 34:].max() < 10


def test_odd_sides_are_padded_to_even_ones(make_video):
    info = probe(make_video(num_frames=3, height=47, width=63))

    assert (info.height, info.width) == (48, 64)


def test_same_frames_give_the_same_bytes(make_video):
    first, second = make_video("a.mp4"), make_video("b.mp4")

    with open(first, "rb") as a, open(second, "rb") as b:  # noqa: PTH123 - two in one with
        assert a.read() == b.read()


def test_no_frame_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "v.mp4", [], fps=30)


def test_a_failure_leaves_no_file(tmp_path):
    def frames():
        yield np.zeros((48, 64, 3), np.uint8)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_video(tmp_path / "v.mp4", frames(), fps=30)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="absent"):
        write_video(tmp_path / "absent" / "v.mp4", [np.zeros((2, 2, 3), np.uint8)], fps=30)
