"""Undamaged recordings of unusual kinds: every frame comes once, in order, at its own time."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseact.video.chunks import plan_chunks
from poseact.video.decode import decode_chunk
from poseact.video.probe import probe

pytestmark = pytest.mark.faults

SECOND = 90_000  # ticks of MPEG-TS
QUARTER = 1 << 16
ANTICLOCKWISE = [0, -QUARTER, 0, QUARTER, 0, 0, 0, 0, 1 << 30]


def _greys(num_frames=40, height=48, width=64):
    return [np.full((height, width, 3), 8 + 4 * i, np.uint8) for i in range(num_frames)]


def _assert_whole(got, num_frames=40, *, shown_within=0):
    assert got.shown == pytest.approx(list(range(num_frames)), abs=shown_within)
    assert got.indices == list(range(num_frames))
    assert (got.damaged_s, got.missing_s, got.info.frames_expected) == ([], [], num_frames)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(("v.mp4", "libx264", "yuv420p10le", {}), id="10 bits"),
        pytest.param(("v.mkv", "libx265", "yuv420p10le", {}), id="10 bits of h265"),
        pytest.param(("v.mp4", "libx264", "yuv422p", {}), id="4:2:2"),
        pytest.param(("v.mov", "prores_ks", "yuv422p10le", {}), id="4:2:2 of 10 bits"),
        pytest.param(("v.mkv", "libx264", "yuv444p", {}), id="4:4:4"),
        pytest.param(("v.ts", "libx264", "yuv420p", {"flags": "+ildct+ilme"}), id="interlaced"),
        pytest.param(
            ("v.ts", "mpeg2video", "yuv420p", {"flags": "+ildct+ilme"}), id="mpeg2 fields"
        ),
        pytest.param(("v.webm", "libvpx-vp9", "yuv420p", {}), id="vp9"),
        pytest.param(("v.webm", "libsvtav1", "yuv420p", {"preset": "12"}), id="av1"),
        pytest.param(("v.avi", "libx264", "yuv420p", {"bf": "3"}), id="reordered, without times"),
        pytest.param(("v.avi", "mpeg4", "yuv420p", {"bf": "2", "g": "9"}), id="mpeg4 likewise"),
        pytest.param(("v.avi", "mjpeg", "yuvj420p", {}), id="every frame a keyframe"),
        pytest.param(("v.mp4", "libx264", "yuv420p", {"g": "1000"}), id="one endless group"),
        pytest.param(("v.ts", "libx264", "yuv420p", {"g": "1000"}), id="one endless group in ts"),
        pytest.param(
            (
                "v.ts",
                "libx264",
                "yuv420p",
                {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"},
            ),
            id="open groups with reordered frames",
        ),
    ],
)
def test_kinds_of_pictures(make_by_pyav, recover, kind):
    name, codec, pix_fmt, options = kind
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    uri = make_by_pyav(name, _greys(), codec=codec, pix_fmt=pix_fmt, options={**quiet, **options})

    got = recover(uri, offset=8)

    # 10 bits come out as 8 with an error of up to 3, and MPEG-4 is coarse
    _assert_whole(got, shown_within=1 if "10" in pix_fmt or codec == "mpeg4" else 0)
    steps_s = np.diff(got.times_s)
    assert steps_s == pytest.approx(1 / 30, abs=1.1e-3)  # Matroska rounds to milliseconds
    assert recover(uri, max_frames=7).frames == got.frames


@pytest.mark.parametrize(("height", "width"), [(49, 65), (1, 1), (3, 2)])
def test_odd_sizes(make_by_pyav, recover, height, width):
    uri = make_by_pyav("v.mkv", _greys(5, height, width), codec="ffv1", pix_fmt="yuv444p")

    got = recover(uri, offset=8)

    assert (got.info.height, got.info.width) == (height, width)
    _assert_whole(got, 5)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi", "v.flv"])
def test_a_video_of_one_frame(make_by_pyav, recover, name):
    got = recover(make_by_pyav(name, _greys(1)), offset=8)

    _assert_whole(got, 1)
    assert 0 < got.info.duration_s <= 1


def test_a_turn_to_the_left(make_by_pyav):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    uri = make_by_pyav("v.mp4", [picture] * 3, display_matrix=ANTICLOCKWISE)

    info = probe(uri)
    (chunk,) = plan_chunks(info, max_bytes=10**9)

    assert (info.height, info.width, info.rotation_deg) == (64, 48, 270)
    for frame in decode_chunk(chunk):
        corners = frame.rgb_HWC[::63, ::47].mean(axis=2)
        assert np.argwhere(corners > 128).tolist() == [[1, 0]]  # bottom left


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_frames_of_any_length(make_by_pyav, recover, name):
    ticks = np.cumsum([0, *np.random.default_rng(0).integers(1, 900, 39)]) * 90
    uri = make_by_pyav(name, _greys(), pts=ticks.tolist(), time_base=Fraction(1, SECOND))

    got = recover(uri, offset=8)

    _assert_whole(got)
    assert got.info.is_vfr
    times_s = np.array(got.times_s) - got.times_s[0]
    assert times_s == pytest.approx(ticks / SECOND, abs=6e-4)
    assert recover(uri, max_frames=7).frames == got.frames


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(24 * 3600 * SECOND, id="after a day"),
        pytest.param(2**33 - 20 * 3000, id="the clock of 33 bits begins anew after 20 frames"),
    ],
)
def test_late_times_of_a_transport_stream(make_by_pyav, tmp_path, recover, first):
    source = make_by_pyav("source.ts", _greys(), options={"g": "10", "bf": "2"})
    late = str(tmp_path / "late.ts")
    with av.open(source) as before, av.open(late, "w", options={"mpegts_copyts": "1"}) as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.size:
                packet.pts = packet.pts - before.streams.video[0].start_time + first
                packet.dts = packet.dts - before.streams.video[0].start_time + first
                packet.stream = stream
                after.mux(packet)

    got = recover(late, offset=8)

    _assert_whole(got)
    start_s = got.times_s[0]
    assert start_s == pytest.approx(first / SECOND) or start_s == pytest.approx(
        (first - 2**33) / SECOND
    )
    assert got.times_s == pytest.approx([start_s + i / 30 for i in range(40)])
    assert recover(late, max_frames=10).frames == got.frames


def test_an_edit_list_that_starts_later(make_by_pyav, recover):
    """Its first entry is empty: the pictures come two seconds after the beginning."""
    pts = range(60, 100)
    uri = make_by_pyav("v.mp4", _greys(), pts=pts, options={"bf": "2"})
    assert b"elst" in Path(uri).read_bytes()

    got = recover(uri, offset=8)

    _assert_whole(got)
    assert got.times_s == pytest.approx([tick / 30 for tick in pts])


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "2"}], ids=["in order", "reordered"])
@pytest.mark.parametrize("num_hidden", [10, 20])
def test_an_edit_list_that_hides_the_beginning(make_by_pyav, recover, num_hidden, options):
    """Some frames are there for those after them only: the first shown is no keyframe."""
    uri = make_by_pyav("v.mp4", _greys(), options={"g": "15", **options})
    content = bytearray(Path(uri).read_bytes())
    entry = content.index(b"elst") + 12  # after its version, flags and number of entries
    ticks_per_s = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)[0]
    (media_time,) = struct.unpack_from(">i", content, entry + 4)
    struct.pack_into(">i", content, entry + 4, media_time + num_hidden * ticks_per_s // 30)
    Path(uri).write_bytes(content)

    got = recover(uri, offset=8 + 4 * num_hidden)

    _assert_whole(got, 40 - num_hidden)
    assert got.times_s == pytest.approx([i / 30 for i in range(40 - num_hidden)])
    assert recover(uri, offset=8 + 4 * num_hidden, max_frames=7).frames == got.frames
