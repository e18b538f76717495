"""Damaged recordings: what is recovered, that its times are right, and that the loss shows."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseact.errors import VideoError
from poseact.video.probe import probe

pytestmark = pytest.mark.faults

FIRST_GREY = 8  # of the noisy frames
FASTSTART = {"movflags": "+faststart"}
FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov"}
GOP = 15

CONTAINERS = [
    pytest.param(("v.mp4", FASTSTART), id="mp4"),
    pytest.param(("v.mp4", FRAGMENTED), id="fragmented mp4"),
    pytest.param(("v.mkv", {}), id="mkv"),
    pytest.param(("v.ts", {}), id="ts"),
    pytest.param(("v.flv", {}), id="flv"),
    pytest.param(("v.avi", {}), id="avi"),
]


def _assert_times_are_right(got, *, except_frames=range(0)):
    """Every frame is presented when it was recorded; some have damaged pixels."""
    frames = zip(got.shown, got.times_s, strict=True)
    told = [(shown, time_s) for shown, time_s in frames if round(time_s * 30) not in except_frames]
    assert [shown / 30 for shown, _ in told] == pytest.approx(
        [time_s for _, time_s in told], abs=2e-3
    )


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("keep", [0.9, 0.5, 0.2])
def test_a_file_that_was_cut_off_gives_its_beginning(make_noisy, packets_of, recover, kind, keep):
    name, options = kind
    uri = Path(make_noisy(name, container_options=options))
    content = uri.read_bytes()
    whole = [pos + size <= keep * len(content) for pos, size in packets_of(str(uri))]
    uri.write_bytes(content[: int(keep * len(content))])

    got = recover(str(uri), offset=FIRST_GREY)

    # the last frame may be there in part
    assert 0 <= len(got.frames) - sum(whole) <= 1
    assert got.indices == list(range(len(got.frames)))
    _assert_times_are_right(got, except_frames=range(sum(whole) - 1, 60))
    assert not got.is_whole


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(("v.mp4", FASTSTART), id="index of an mp4"),
        pytest.param(("v.mkv", {}), id="duration of an mkv"),
        pytest.param(("v.avi", {}), id="number of frames of an avi"),
    ],
)
@pytest.mark.parametrize("num_left", [57, 20])
def test_a_header_tells_what_was_cut_off(make_noisy, packets_of, recover, kind, num_left):
    name, options = kind
    uri = Path(make_noisy(name, container_options=options))
    uri.write_bytes(uri.read_bytes()[: packets_of(str(uri))[num_left][0] - 8])

    got = recover(str(uri), offset=FIRST_GREY)

    assert len(got.frames) == pytest.approx(num_left, abs=1)
    assert got.info.frames_expected == 60
    assert got.info.duration_s == pytest.approx(2.0, abs=0.04)


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("garbage_at", [(20, 64), (44, 64), (29, 6000), (44, 6000)])
def test_garbage_costs_the_group_that_it_hits(make_noisy, packets_of, recover, kind, garbage_at):
    name, options = kind
    uri = Path(make_noisy(name, container_options=options))
    content = bytearray(uri.read_bytes())
    packets = packets_of(str(uri))
    victim, length = garbage_at
    start = packets[victim][0] - 4  # the container's own bytes as well
    garbage = np.random.default_rng(victim).integers(0, 256, length, np.uint8).tobytes()
    content[start : start + length] = garbage
    starts = [pos for pos, _ in packets]
    keyframes = [starts.index(pos) for pos, _ in packets_of(str(uri), keyframes_only=True)]
    uri.write_bytes(content)
    hit = [i for i, (pos, size) in enumerate(packets) if start - size < pos < start + length]

    got = recover(str(uri), offset=FIRST_GREY)

    next_keyframe = next((k for k in keyframes if k > hit[-1]), 60)
    lost = set(range(60)) - {round(time_s * 30) for time_s in got.times_s}
    # FFmpeg goes on at the next cluster of a Matroska, and not at all after a fragment's header
    resumes = {"v.mkv": next_keyframe + GOP, "v.mp4": 60}.get(name, next_keyframe)
    assert lost <= set(range(hit[0], resumes))
    _assert_times_are_right(got, except_frames=range(hit[0], next_keyframe))
    assert not got.is_whole
    if options is not FRAGMENTED:
        assert got.info.frames_expected == 60


@pytest.mark.parametrize("kind", [*CONTAINERS[2:5]])
def test_bytes_that_were_lost_show_as_missing_frames(make_noisy, packets_of, recover, kind):
    name, options = kind
    uri = Path(make_noisy(name, container_options=options))
    content = bytearray(uri.read_bytes())
    start = packets_of(str(uri))[32][0] + 100
    del content[start : start + 17_000]
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert 30 <= len(got.frames) < 60
    _assert_times_are_right(got, except_frames=range(32, 45))
    assert not got.is_whole
    assert got.times_s[-1] == pytest.approx(59 / 30, abs=1e-3)


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(("libx264", "v.mp4", {}), id="h264"),
        pytest.param(("libx264", "v.mp4", {"x264-params": "cabac=0"}), id="h264 without cabac"),
        pytest.param(("libx265", "v.mp4", {"x265-params": "log-level=none"}), id="h265"),
        pytest.param(("mpeg4", "v.avi", {}), id="mpeg4"),
        pytest.param(("mpeg2video", "v.mp4", {}), id="mpeg2"),
        pytest.param(("libvpx-vp9", "v.mp4", {"deadline": "realtime"}), id="vp9"),
        pytest.param(("mjpeg", "v.avi", {}), id="mjpeg"),
    ],
)
def test_a_frame_of_zeros_is_seen_whatever_the_codec(make_noisy, packets_of, recover, coded):
    codec, name, options = coded
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    uri = Path(make_noisy(name, codec=codec, options=options, pix_fmt=pix_fmt))
    intact = recover(str(uri), offset=FIRST_GREY)
    content = bytearray(uri.read_bytes())
    pos, size = packets_of(str(uri))[40]
    content[pos : pos + size] = bytes(size)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert (intact.is_whole, intact.shown) == (True, list(range(60)))
    _assert_times_are_right(got, except_frames=range(40, 60))
    assert set(range(40)) <= set(got.indices)
    assert not got.is_whole
    assert min(got.damaged_s + got.missing_s) == pytest.approx(40 / 30, abs=0.07)


@pytest.fixture
def with_sound(make_noisy, tmp_path):
    """An MP4 whose frames lie between pieces of sound, so that its index has a place for each."""
    path = tmp_path / "sound.mp4"
    with (
        av.open(make_noisy("v.mp4")) as source,
        av.open(path, "w", options=FASTSTART) as target,
    ):
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("pcm_s16le", 8000, layout="mono")
        for index, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream = pictures
            target.mux(packet)
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 266), np.int16), layout="mono")
            quiet.sample_rate, quiet.pts, quiet.time_base = 8000, 266 * index, Fraction(1, 8000)
            target.mux(sound.encode(quiet))
    return path


@pytest.mark.parametrize("victim", [15, 30, 45])
def test_an_index_that_points_nowhere_costs_the_group_that_it_hits(with_sound, recover, victim):
    content = bytearray(with_sound.read_bytes())
    offsets = _boxes(content, b"stco")[0]
    assert struct.unpack_from(">I", content, offsets + 4) == (60,), "a place for each frame"
    struct.pack_into(">I", content, offsets + 8 + 4 * victim, 0x7FFF_FF00)
    with_sound.write_bytes(content)

    got = recover(str(with_sound), offset=FIRST_GREY)

    lost = {*range(60)} - {round(time_s * 30) for time_s in got.times_s}
    assert victim in lost
    assert lost <= {*range(victim, victim + GOP)}
    assert not got.is_whole


def test_a_flipped_bit_anywhere_in_a_ts_packet_header_stays_with_its_frames(make_noisy, recover):
    """Its packet is then of a stream that nobody announced."""
    uri = Path(make_noisy("v.ts", options={"crf": "30"}))
    content = uri.read_bytes()
    for packet in range(20 * 188, len(content), 7 * 188):
        damaged = bytearray(content)
        damaged[packet + 1] ^= 1
        uri.write_bytes(damaged)

        got = recover(str(uri), offset=FIRST_GREY)

        assert len(got.frames) >= 60 - GOP


def test_a_codec_that_nobody_knows_is_told(make_noisy):
    uri = Path(make_noisy("v.mp4"))
    uri.write_bytes(uri.read_bytes().replace(b"avc1", b"xyz1"))

    with pytest.raises(VideoError, match="no decoder for its video"):
        probe(str(uri))


def test_a_clock_that_goes_back_loses_no_more_than_what_is_told(make_noisy, recover, tmp_path):
    """The recorder was restarted: what comes later in the file claims to be earlier."""
    late = Path(make_noisy("late.ts", pts=[60 + i for i in range(60)])).read_bytes()
    early = Path(make_noisy("early.ts")).read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(late + early)

    got = recover(str(both), offset=FIRST_GREY)

    assert len(got.frames) >= 60
    assert got.info.frames_expected == 120
    assert len(got.frames) + len(got.missing_s) == 120
    _assert_times_are_right(got)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_a_preview_is_not_taken_for_the_recording(name, tmp_path, recover):
    with av.open(tmp_path / name, "w") as container:
        streams = [container.add_stream("libx264", 30, options={"bf": "0"}) for _ in range(2)]
        for stream, width in zip(streams, (32, 64), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 30)
        for index in range(40):
            for stream in streams[index > 0 :]:
                grey = np.full((48, stream.width, 3), 8 + 4 * index, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 30)
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
        for stream in streams:
            container.mux(stream.encode(None))

    got = recover(str(tmp_path / name), offset=8)

    assert got.info.width == 64
    assert got.shown == list(range(40))


def test_the_place_of_a_loss_is_told(make_noisy, packets_of, recover):
    uri = Path(make_noisy("v.mp4", container_options=FASTSTART))
    content = bytearray(uri.read_bytes())
    for victim in (22, 50):
        pos, size = packets_of(str(uri))[victim]
        content[pos : pos + size] = bytes(size)
    uri.write_bytes(content)

    for max_frames in (60, 15):
        got = recover(str(uri), max_frames=max_frames)

        assert got.indices == [i for i in range(60) if i not in (22, 50)]
        assert got.damaged_s == got.missing_s == pytest.approx([22 / 30, 50 / 30])


def _boxes(content, name):
    """Where each box of an MP4 with this name has its content."""
    found, start = [], content.find(name)
    while start >= 0:
        found.append(start + 4)
        start = content.find(name, start + 1)
    return found


def test_an_mp4_without_its_index_is_an_error(make_noisy):
    uri = Path(make_noisy("v.mp4"))  # the index comes last
    content = uri.read_bytes()
    uri.write_bytes(content[: content.find(b"moov") - 4])

    with pytest.raises(VideoError, match="Check that the recording was finished"):
        probe(str(uri))


def test_an_mp4_whose_index_points_elsewhere_has_no_whole_frame(make_noisy, recover):
    uri = Path(make_noisy("v.mp4", container_options=FASTSTART))
    content = bytearray(uri.read_bytes())
    (stco,) = _boxes(content, b"stco")
    (num_chunks,) = struct.unpack_from(">I", content, stco + 4)
    rng = np.random.default_rng(0)
    for chunk in range(num_chunks):
        place = int(rng.integers(2**31, 2**32))
        struct.pack_into(">I", content, stco + 8 + 4 * chunk, place)
    uri.write_bytes(content)

    with pytest.raises(VideoError, match="no frame that can be decoded"):
        recover(str(uri))


@pytest.mark.parametrize(
    ("box", "offset", "number"),
    [
        pytest.param(b"stsz", 12 + 4 * 30, 2**31 + 9, id="a frame of gigabytes"),
        pytest.param(b"stsz", 12 + 4 * 59, 2**31 + 9, id="the last frame of gigabytes"),
        pytest.param(b"stsz", 8, 40, id="fewer frames"),
        pytest.param(b"stts", 12, 4 * 512, id="longer frames"),
    ],
)
def test_an_mp4_whose_index_is_damaged_shows_its_loss(make_noisy, recover, box, offset, number):
    uri = Path(make_noisy("v.mp4", container_options=FASTSTART))
    content = bytearray(uri.read_bytes())
    struct.pack_into(">I", content, _boxes(content, box)[0] + offset, number)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert len(got.frames) < 60
    assert got.info.frames_expected == pytest.approx(60, abs=1)
    assert got.info.duration_s == pytest.approx(2.0, abs=0.14)
    assert not got.is_whole


@pytest.mark.parametrize("box", [b"moof", b"traf", b"trun"])
@pytest.mark.parametrize("fragment", [0, 1, 2, 3])
def test_a_fragment_that_is_passed_over_shows_as_missing_frames(make_noisy, recover, box, fragment):
    uri = Path(make_noisy("v.mp4", container_options=FRAGMENTED))
    content = bytearray(uri.read_bytes())
    content[_boxes(content, box)[fragment] - 4] ^= 1
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert len(got.frames) == 45
    # how much is lost at the ends cannot be told
    assert got.info.frames_expected == (60 if fragment in {1, 2} else 46)
    assert not got.is_whole


def test_a_fragment_that_was_cut_out_shows_as_missing_frames(make_noisy, recover):
    options = {"movflags": FRAGMENTED["movflags"] + "+default_base_moof"}
    uri = Path(make_noisy("v.mp4", container_options=options))
    content = uri.read_bytes()
    starts = [place - 8 for place in _boxes(content, b"moof")]

    uri.write_bytes(content[: starts[1]] + content[starts[2] :])
    got = recover(str(uri), offset=FIRST_GREY)
    assert (len(got.frames), got.info.frames_expected) == (45, 60)

    uri.write_bytes(content[: starts[0]] + content[starts[1] :])  # as if recorded on from there
    got = recover(str(uri), offset=FIRST_GREY)
    assert (got.shown, got.is_whole) == (list(range(15, 60)), True)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([7, 8, 9, 10], id="from another than one"),
        pytest.param([1, 3, 5, 7], id="every other"),
        pytest.param([0, 0, 0, 0], id="not at all"),
        pytest.param([3, 4, 1, 2], id="anew"),
    ],
)
def test_fragments_may_be_numbered_otherwise(make_noisy, recover, numbers):
    pts = [*range(30), *range(300, 330)]
    uri = Path(make_noisy("v.mp4", container_options=FRAGMENTED, pts=pts))
    content = bytearray(uri.read_bytes())
    for place, number in zip(_boxes(content, b"mfhd"), numbers, strict=True):
        struct.pack_into(">I", content, place + 4, number)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert (got.shown, got.info.frames_expected) == (list(range(60)), 60)


@pytest.mark.parametrize(
    "extra", [b"mdat", b"free", b"uuid", b"\0\0\0\0"], ids=["data", "free", "own", "zeros"]
)
def test_boxes_after_the_last_fragment_are_no_loss(make_noisy, recover, extra):
    uri = Path(make_noisy("v.mp4", container_options=FRAGMENTED))
    content = uri.read_bytes()
    end = content.rfind(b"mfra") - 4
    uri.write_bytes(content[:end] + struct.pack(">I4s", 108, extra) + bytes(100))

    got = recover(str(uri), offset=FIRST_GREY)

    assert (got.shown, got.info.frames_expected) == (list(range(60)), 60)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "+faststart",
        "+negative_cts_offsets",
        "+frag_keyframe",
        "+frag_keyframe+delay_moov",
        "+frag_every_frame+empty_moov",
        "+cmaf",
        "+dash",
    ],
)
@pytest.mark.parametrize(
    "pts",
    [
        pytest.param(None, id="even"),
        pytest.param([i * i for i in range(60)], id="slower and slower"),
        pytest.param([*range(30), *range(300, 330)], id="with a pause"),
        pytest.param(range(30, 90), id="starts later"),
    ],
)
def test_an_mp4_of_any_make_is_whole(make_by_pyav, recover, flags, pts):
    pictures = [np.full((48, 64, 3), 8 + 4 * i, np.uint8) for i in range(60)]
    coding = {"bf": "3", "g": "15", "x264-params": "open-gop=1", "preset": "ultrafast"}
    options = {"movflags": flags} if flags else {}
    uri = make_by_pyav("v.mp4", pictures, pts=pts, options=coding, container_options=options)

    got = recover(uri, offset=8)

    assert (got.shown, got.info.frames_expected) == (list(range(60)), 60)
    assert got.is_whole


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.2])
def test_an_mkv_that_declares_only_its_whole_length_tells_what_was_cut_off(
    make_noisy, recover, keep
):
    uri = Path(make_noisy("v.mkv"))
    content = uri.read_bytes().replace(b"DURATION", b"DURATIOX")  # of the video alone
    uri.write_bytes(content)
    assert recover(str(uri), offset=FIRST_GREY).is_whole
    uri.write_bytes(content[: int(keep * len(content))])

    got = recover(str(uri), offset=FIRST_GREY)

    assert got.info.frames_expected == 60
    assert got.info.duration_s == pytest.approx(2.0, abs=0.04)
    assert not got.is_whole


def _with_sound(uri, sound_s):
    """Copy the packets of a video to a Matroska with sound beside them."""
    path = Path(uri).with_name("sound.mkv")
    with av.open(uri) as before, av.open(path, "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        sound = after.add_stream("pcm_s16le", 8000, layout="mono")
        for second in range(sound_s):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
            samples.sample_rate, samples.pts = 8000, 8000 * second
            after.mux(sound.encode(samples))
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = stream
                after.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    return str(path)


def test_sound_that_goes_on_after_the_pictures_is_no_loss(make_noisy, recover):
    got = recover(_with_sound(make_noisy("v.mkv"), 5), offset=FIRST_GREY)

    assert (got.shown, got.info.frames_expected) == (list(range(60)), 60)
    assert got.info.duration_s == pytest.approx(2.0, abs=0.04)


@pytest.mark.parametrize("damage", ["name of its cluster", "head of its block", "picture"])
def test_a_lost_first_keyframe_of_an_mkv_takes_its_group_along(
    make_noisy, packets_of, recover, damage
):
    uri = Path(make_noisy("v.mkv"))
    content = bytearray(uri.read_bytes())
    pos, _ = packets_of(str(uri))[0]
    if "cluster" in damage:
        content[content.find(b"\x1f\x43\xb6\x75")] ^= 1
    else:
        start, end = (pos, pos + 300) if damage == "picture" else (pos - 7, pos)
        content[start:end] = bytes(end - start)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert got.shown[-45:] == list(range(15, 60))
    assert got.info.frames_expected == 60
    assert not got.is_whole


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(188, 3000, id="most of it"),
        pytest.param(0, 1880, id="with its beginning"),
    ],
)
def test_a_lost_first_keyframe_of_a_transport_stream_takes_its_group_along(
    make_noisy, packets_of, recover, start, end
):
    uri = Path(make_noisy("v.ts"))
    content = bytearray(uri.read_bytes())
    pos, _ = packets_of(str(uri))[0]
    garbage = np.random.default_rng(1).integers(0, 256, end - start, np.uint8)
    content[pos + start : pos + end] = garbage.tobytes()
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert got.shown == list(range(15, 60))
    assert got.info.frames_expected == pytest.approx(60, abs=1)
    assert not got.is_whole


@pytest.mark.parametrize(
    ("name", "further"),
    [
        pytest.param("v.mkv", -7, id="mkv"),
        pytest.param("v.ts", 0, id="ts"),
        pytest.param("v.ts", 7 * 188, id="ts within a frame"),
        pytest.param("v.ts", 7 * 188 + 50, id="ts within a packet"),
    ],
)
def test_a_recording_cut_out_of_a_stream_misses_nothing(
    make_noisy, packets_of, recover, name, further
):
    live = {"live": "1"} if name == "v.mkv" else {}
    uri = Path(make_noisy(name, container_options=live))
    content = uri.read_bytes()
    start = packets_of(str(uri))[5][0]
    head = content[: content.find(b"\x1f\x43\xb6\x75")] if live else b""
    uri.write_bytes(head + content[start + further :])

    got = recover(str(uri), offset=FIRST_GREY)

    assert got.shown == list(range(15, 60))
    assert got.info.frames_expected == 45


def test_small_frames_that_are_gone_are_missed(make_by_pyav, packets_of, recover):
    """Sixteen of a picture that does not change are a few hundred bytes."""
    pictures = [np.full((96, 128, 3), 8 + 4 * i, np.uint8) for i in range(60)]
    coding = {"g": "15", "bf": "0", "crf": "30", "sc_threshold": "0"}
    uri = Path(make_by_pyav("v.mkv", pictures, options=coding))
    content = bytearray(uri.read_bytes())
    packets = packets_of(str(uri))
    start, end = packets[16][0] - 7, sum(packets[28])
    content[start:end] = bytes(end - start)
    uri.write_bytes(content)

    got = recover(str(uri), offset=8)

    assert end - start < 1024
    assert got.info.frames_expected == 60
    assert len(got.frames) <= 47


def test_an_mp4_whose_keyframes_are_listed_wrongly_shows_its_loss(make_noisy, recover):
    uri = Path(make_noisy("v.mp4", container_options=FASTSTART))
    content = bytearray(uri.read_bytes())
    (stss,) = _boxes(content, b"stss")
    assert struct.unpack_from(">5I", content, stss + 4) == (4, 1, 16, 31, 46)
    struct.pack_into(">4I", content, stss + 8, 1, 20, 31, 46)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY, max_frames=15)

    assert (got.shown, got.indices) == (list(range(60)), list(range(60)))


def test_an_avi_without_an_index_is_read_through(make_noisy, recover):
    uri = Path(make_noisy("v.avi"))
    content = uri.read_bytes()
    uri.write_bytes(content[: content.find(b"idx1")])

    got = recover(str(uri), offset=FIRST_GREY)

    assert (got.shown, got.is_whole) == (list(range(60)), True)
    _assert_times_are_right(got)
    assert recover(str(uri), max_frames=15).frames == got.frames


def test_a_damaged_avi_without_an_index_shows_its_loss_but_not_where(
    make_noisy, packets_of, recover
):
    """An AVI has no times: a frame that cannot be found makes all later ones early."""
    uri = Path(make_noisy("v.avi"))
    content = bytearray(uri.read_bytes())
    (pos, size), (second, _) = packets_of(str(uri))[30:32]
    content[pos - 8 : second - 8] = bytes(second - pos)
    uri.write_bytes(content[: content.find(b"idx1")])

    got = recover(str(uri), offset=FIRST_GREY)

    assert size > 0
    assert (len(got.frames), got.info.frames_expected) == (59, 60)
    assert not got.is_whole


def test_an_mkv_without_an_index_is_read_through(make_noisy, recover):
    uri = make_noisy("v.mkv", container_options={"live": "1"})
    assert b"\x1c\x53\xbb\x6b" not in Path(uri).read_bytes()  # Cues

    got = recover(uri, offset=FIRST_GREY)

    assert (got.shown, got.is_whole) == (list(range(60)), True)
    assert recover(uri, max_frames=15).frames == got.frames


def test_frames_that_are_declared_but_absent_are_expected(make_noisy, recover):
    uri = Path(make_noisy("v.avi"))
    content = bytearray(uri.read_bytes())
    struct.pack_into("<I", content, content.find(b"strh") + 8 + 32, 90)
    uri.write_bytes(content)

    got = recover(str(uri), offset=FIRST_GREY)

    assert (got.shown, got.info.frames_expected) == (list(range(60)), 90)
    assert got.info.duration_s == pytest.approx(3.0)


def test_a_pause_of_the_camera_is_no_damage(make_noisy, recover):
    pts = [*range(30), *range(300, 330)]
    for name in ("v.mkv", "v.ts", "v.flv", "v.mp4"):
        got = recover(make_noisy(name, pts=pts), offset=FIRST_GREY)

        assert got.is_whole
        assert got.info.frames_expected == 60
        assert got.shown == list(range(60))


@pytest.mark.parametrize("codec", ["png", "mjpeg", "gif"])
def test_a_picture_with_the_name_of_a_video_is_none(tmp_path, codec):
    formats = {"png": "rgb24", "mjpeg": "yuvj420p", "gif": "rgb8"}
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = 64, 48, formats[codec]
    context.time_base = Fraction(1, 30)
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8)).reformat(
        format=formats[codec]
    )
    frame.pts = 0
    content = b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])
    (tmp_path / "v.mp4").write_bytes(content)

    with pytest.raises(VideoError, match="cannot be read as a video"):
        probe(str(tmp_path / "v.mp4"))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        pytest.param((20_000, 100), "declares frames of 20000 x 100 pixels", id="too long"),
        pytest.param((12_000, 12_000), "of no size that can be decoded", id="too many pixels"),
        pytest.param((100_000, 100_000), "of no size that can be decoded", id="out of all bounds"),
    ],
)
def test_a_size_that_no_memory_holds_is_refused(make_by_pyav, size, message):
    pictures = [np.zeros((48, 64, 3), np.uint8)] * 3
    uri = Path(make_by_pyav("v.avi", pictures, codec="ffv1"))
    content = bytearray(uri.read_bytes())
    struct.pack_into("<II", content, content.find(b"strf") + 12, *size)
    uri.write_bytes(content)

    with pytest.raises(VideoError, match=message):
        probe(str(uri))


def test_a_frame_of_8k_is_decoded(make_by_pyav, recover):
    pictures = [np.full((4320, 7680, 3), 40 * i, np.uint8) for i in range(2)]
    uri = make_by_pyav("v.mp4", pictures, options={"preset": "ultrafast"})

    got = recover(uri)

    assert (got.info.width, got.info.height) == (7680, 4320)
    assert got.shown == [0, 10]
    assert got.is_whole
