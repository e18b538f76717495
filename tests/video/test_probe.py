import os
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseact.errors import VideoError
from poseact.video.probe import frame_table, probe


def test_describes_a_recording(make_video):
    info = probe(make_video("gate_20240131T235958Z.mp4", num_frames=45))

    assert (info.codec, info.width, info.height, info.rotation_deg) == ("h264", 64, 48, 0)
    assert (info.frames_expected, info.fps_nominal, info.is_vfr) == (45, 30.0, False)
    assert info.duration_s == pytest.approx(1.5)
    assert info.start_utc == datetime(2024, 1, 31, 23, 59, 58, tzinfo=UTC)
    assert info.camera_id == "gate"


def test_presentation_times_are_the_written_ones(make_video):
    times_ms = [0, 40, 90, 500, 510, 1900]
    uri = make_video("v.mkv", num_frames=6, pts=times_ms, time_base=Fraction(1, 1000))

    info = probe(uri)

    assert info.is_vfr
    assert (frame_table(info).pts_T * info.time_base).tolist() == [
        Fraction(ms, 1000) for ms in times_ms
    ]


def test_rounded_times_of_an_even_rate_are_not_a_variable_rate(make_video):
    info = probe(make_video("v.mkv"))

    assert np.unique(np.diff(frame_table(info).pts_T)).tolist() == [33, 34]
    assert not info.is_vfr


def test_times_need_not_start_at_zero(make_video):
    uri = make_video("v.mp4", num_frames=30, pts=range(60, 90), time_base=Fraction(1, 30))

    info = probe(uri)

    assert float(info.start_pts * info.time_base) == pytest.approx(2.0)
    assert info.duration_s == pytest.approx(1.0)


def test_the_container_tells_the_start_if_the_name_does_not(make_by_pyav):
    picture = np.zeros((48, 64, 3), np.uint8)
    uri = make_by_pyav(
        "v.mp4", [picture] * 5, metadata={"creation_time": "2024-01-31T23:59:58+01:00"}
    )

    assert probe(uri).start_utc == datetime(2024, 1, 31, 22, 59, 58, tzinfo=UTC)


def test_identity_follows_place_and_content(make_video):
    uri = make_video()
    first = probe(uri).video_id
    again = probe(uri).video_id
    os.utime(uri, (1, 1))

    assert first == again
    assert len({first, probe(uri).video_id, probe(make_video("w.mp4")).video_id}) == 3


def test_a_name_with_a_colon_is_a_file(make_video):
    assert probe(make_video("cam:1.mp4")).frames_expected == 60


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi"])
def test_a_file_that_was_cut_off_expects_what_its_header_declares(make_video, name):
    uri = Path(make_video(name, num_frames=60, gop_size=10, max_b_frames=0))
    with av.open(uri) as container:
        cut = [packet.pos for packet in container.demux(video=0) if packet.size][20]
    uri.write_bytes(uri.read_bytes()[:cut])

    info = probe(str(uri))

    assert len(frame_table(info).pts_T) == pytest.approx(20, abs=1)
    assert info.frames_expected == pytest.approx(60, abs=1)
    assert info.duration_s == pytest.approx(2.0, abs=0.05)


def _playlist(video):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nfile://{video}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(lambda _: "", "empty", id="zero bytes"),
        pytest.param(lambda _: "not a video\n" * 50, "cannot be read as a video", id="text"),
        pytest.param(_playlist, "cannot be read as a video", id="a playlist of another video"),
        pytest.param(
            lambda video: f"ffconcat version 1.0\nfile '{video}'\n",
            "cannot be read as a video",
            id="a concat script of another video",
        ),
    ],
)
def test_what_is_no_video_gives_one_clear_line(make_video, tmp_path, capfd, content, message):
    (tmp_path / "bad.mp4").write_text(content(make_video()))

    with pytest.raises(VideoError, match=message) as caught:
        probe(str(tmp_path / "bad.mp4"))

    assert "\n" not in str(caught.value)
    assert str(tmp_path / "bad.mp4") in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_folder_a_pipe_and_nothing_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")

    for name in (".", "pipe.mp4", "absent.mp4"):
        with pytest.raises(VideoError):
            probe(str(tmp_path / name))


def test_sound_alone_is_no_video(tmp_path):
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 44100), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with pytest.raises(VideoError, match="no video stream"):
        probe(str(tmp_path / "sound.mp4"))


def test_waving(data_dir):
    info = probe(str(data_dir / "videos" / "Waving.mp4"))

    assert (info.frames_expected, info.width, info.height, info.fps_nominal) == (132, 282, 226, 30)
