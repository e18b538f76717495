import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseact.errors import VideoError
from poseact.video.chunks import plan_chunks
from poseact.video.container import open_video
from poseact.video.decode import Decoder, decode_chunk
from poseact.video.probe import probe


def _decode(uri, *, max_frames=10**6):
    """Return the frames and the number of errors."""
    info = probe(uri)
    frames, num_errors = [], 0
    for chunk in plan_chunks(info, max_bytes=max_frames * 3 * info.width * info.height):
        decoded = decode_chunk(chunk)
        frames += decoded
        num_errors += decoded.report.num_errors
    return frames, num_errors


def _content(frames):
    return [(f.frame_index, f.pts, hashlib.sha256(f.rgb_HWC).hexdigest()) for f in frames]


@pytest.mark.parametrize("max_b_frames", [0, 3])
def test_frames_come_in_presentation_order_with_their_times(make_video, frame_shown, max_b_frames):
    frames, num_errors = _decode(make_video(max_b_frames=max_b_frames))

    assert num_errors == 0
    assert [frame_shown(f.rgb_HWC) for f in frames] == list(range(60))
    assert [f.frame_index for f in frames] == list(range(60))
    assert [f.pts_s for f in frames] == pytest.approx([i / 30 for i in range(60)])


def test_times_of_a_variable_rate_are_exact(make_video, frame_shown):
    ticks = [0, 8, 30, 95, 96, 97, 300]
    uri = make_video(num_frames=7, pts=ticks, time_base=Fraction(1, 90), max_b_frames=2)

    frames, _ = _decode(uri)

    assert [f.pts_s for f in frames] == [pytest.approx(tick / 90, abs=1e-12) for tick in ticks]
    assert [frame_shown(f.rgb_HWC) for f in frames] == list(range(7))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.flv"])
@pytest.mark.parametrize("gop_size", [1, 7, 30, 60])
def test_chunks_give_the_frames_of_the_whole(make_video, name, gop_size):
    uri = make_video(name, gop_size=gop_size, max_b_frames=2)
    whole, _ = _decode(uri)

    assert len(whole) == 60
    for max_frames in (30, 17):
        assert _content(_decode(uri, max_frames=max_frames)[0]) == _content(whole)


@pytest.mark.parametrize("params", ["open-gop=1:keyint=30", "intra-refresh=1:keyint=30"])
def test_chunks_agree_where_keyframes_do_not_stand_alone(make_by_pyav, params):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
    pictures = [np.roll(picture, i, axis=1) for i in range(90)]
    uri = make_by_pyav("v.mkv", pictures, options={"x264-params": f"{params}:scenecut=0"})
    whole, _ = _decode(uri)

    assert len(whole) == 90
    assert _content(_decode(uri, max_frames=30)[0]) == _content(whole)


@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_going_on_gives_the_frames_that_starting_anew_gives(make_noisy, packets_of, is_damaged):
    """An endless group: each chunk alone is decoded from the only keyframe."""
    uri = make_noisy("v.mkv", num_frames=60, options={"g": "1000"})
    if is_damaged:
        content = bytearray(Path(uri).read_bytes())
        for victim in (12, 25, 40):
            pos, size = packets_of(uri)[victim]
            content[pos + size // 2 : pos + size] = bytes(size - size // 2)
        Path(uri).write_bytes(content)
    info = probe(uri)
    frame_bytes = 3 * info.width * info.height
    chunks = plan_chunks(info, max_bytes=7 * frame_bytes, max_run_bytes=7 * frame_bytes)
    decoder = Decoder()

    def told(decode, of):
        decoded = [decode(chunk) for chunk in of]
        return [(_content(list(one)), one.report) for one in decoded]

    anew = told(decode_chunk, chunks)
    going_on = told(decoder.decode, chunks)
    leaping = told(decoder.decode, [chunks[i] for i in (0, 3, 4, 1, 8)])

    assert len(chunks) == 9
    assert sum(report.num_errors for _, report in anew) >= 2 * is_damaged
    assert going_on == anew
    assert leaping == [anew[i] for i in (0, 3, 4, 1, 8)]


def test_an_endless_group_is_decoded_once(make_noisy, monkeypatch):
    uri = make_noisy("v.mkv", num_frames=60, options={"g": "1000"})
    info = probe(uri)
    frame_bytes = 3 * info.width * info.height
    chunks = plan_chunks(info, max_bytes=7 * frame_bytes, max_run_bytes=7 * frame_bytes)
    opened = []

    def open_and_count(uri, **settings):
        opened.append(uri)
        return open_video(uri, **settings)

    monkeypatch.setattr("poseact.video.decode.open_video", open_and_count)
    decoder = Decoder()

    frames = [frame for chunk in chunks for frame in decoder.decode(chunk)]

    assert [frame.frame_index for frame in frames] == list(range(60))
    assert opened == [uri]


QUARTER = 1 << 16  # one, in the fixed point of the matrix
CLOCKWISE = [0, QUARTER, 0, -QUARTER, 0, 0, 0, 0, 1 << 30]  # as a phone held upright writes it
UPSIDE_DOWN = [-QUARTER, 0, 0, 0, -QUARTER, 0, 0, 0, 1 << 30]
MIRRORED = [-QUARTER, 0, 0, 0, QUARTER, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(
    ("matrix", "deg", "size", "bright_corner"),
    [
        pytest.param(None, 0, (48, 64), (0, 0), id="none"),
        pytest.param(CLOCKWISE, 90, (64, 48), (0, 1), id="top left goes to top right"),
        pytest.param(UPSIDE_DOWN, 180, (48, 64), (1, 1), id="to bottom right"),
        pytest.param(MIRRORED, 0, (48, 64), (0, 1), id="mirrored"),
    ],
)
def test_rotation_is_applied_once(make_by_pyav, matrix, deg, size, bright_corner):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    uri = make_by_pyav("v.mp4", [picture] * 40, options={"g": "30"}, display_matrix=matrix)

    info = probe(uri)
    frames, _ = _decode(uri, max_frames=15)

    assert (info.height, info.width, info.rotation_deg) == (*size, deg)
    for frame in frames:
        assert frame.rgb_HWC.shape == (*size, 3)
        corners = frame.rgb_HWC[:: size[0] - 1, :: size[1] - 1].mean(axis=2)
        assert np.argwhere(corners > 128).tolist() == [list(bright_corner)]


def _packets(uri):
    with av.open(uri) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def test_a_damaged_packet_costs_its_own_frames_only(make_video, frame_shown):
    uri = make_video(gop_size=15, max_b_frames=0)
    victim = _packets(uri)[44]
    with Path(uri).open("r+b") as file:
        file.seek(victim.pos)
        file.write(bytes(victim.size))

    frames, num_errors = _decode(uri)

    assert num_errors == 1
    assert [f.frame_index for f in frames] == [i for i in range(60) if i != 44]
    assert [frame_shown(f.rgb_HWC) for f in frames] == [f.frame_index for f in frames]
    assert _content(_decode(uri, max_frames=30)[0]) == _content(frames)


def test_errors_are_counted_once_though_pieces_decode_the_same_packets(make_video):
    uri = make_video(gop_size=60, max_b_frames=0)
    victim = _packets(uri)[25]
    with Path(uri).open("r+b") as file:
        file.seek(victim.pos)
        file.write(bytes(victim.size))

    assert [_decode(uri, max_frames=n)[1] for n in (60, 20, 7)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["v.mp4", "v.ts"])
@pytest.mark.parametrize("max_b_frames", [0, 2])
def test_a_file_that_was_cut_off_gives_what_it_holds(make_video, name, max_b_frames):
    uri = Path(make_video(name, gop_size=10, max_b_frames=max_b_frames))
    cut = _packets(str(uri))[40].pos  # packet 40 starts a GOP
    uri.write_bytes(uri.read_bytes()[:cut])
    (chunk,) = plan_chunks(probe(str(uri)), max_bytes=10**9)

    decoded = decode_chunk(chunk)
    frames = list(decoded)

    assert [f.frame_index for f in frames] == list(range(40))
    assert (decoded.report.num_frames, decoded.report.last_good_pts) == (40, frames[-1].pts)


def test_frames_hidden_by_an_edit_list_are_not_shown(make_video, tmp_path, frame_shown):
    """As in a clip cut without encoding: it starts between keyframes, the rest is hidden."""
    source = make_video(gop_size=30)
    cut = str(tmp_path / "cut.mp4")
    with av.open(source) as before, av.open(cut, "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.size:
                packet.pts -= round(0.5 / packet.time_base)
                packet.dts -= round(0.5 / packet.time_base)
                packet.stream = stream
                after.mux(packet)

    whole, num_errors = _decode(cut)

    assert probe(cut).frames_expected == 45
    assert num_errors == 0
    assert [frame_shown(f.rgb_HWC) for f in whole] == list(range(15, 60))
    assert [f.frame_index for f in whole] == list(range(45))
    assert _content(_decode(cut, max_frames=10)[0]) == _content(whole)


def test_pictures_keep_one_size_though_the_stream_changes_its_own(make_video, frame_shown):
    ticks = {"time_base": Fraction(1, 30), "num_frames": 30}
    before = make_video("a.ts", pts=range(30), **ticks)
    after = make_video("b.ts", pts=range(40, 70), height=96, width=96, **ticks)
    with Path(before).open("ab") as file:
        file.write(Path(after).read_bytes())

    frames, _ = _decode(before)

    assert [f.frame_index for f in frames] == list(range(60))
    assert {f.rgb_HWC.shape for f in frames} == {(48, 64, 3)}
    # scaling rounds the greys once more, so neighbours may be taken for each other
    shown = [frame_shown(f.rgb_HWC) for f in frames]
    assert shown == pytest.approx([*range(30), *range(30)], abs=1)


def test_another_file_in_the_place_of_the_planned_one_is_refused(make_video):
    info = probe(make_video(num_frames=60, gop_size=30))
    last = plan_chunks(info, max_bytes=30 * 3 * info.width * info.height)[-1]
    make_video(num_frames=10)

    with pytest.raises(VideoError, match="did the file change"):
        list(decode_chunk(last))


def test_waving(data_dir):
    uri = str(data_dir / "videos" / "Waving.mp4")
    whole, num_errors = _decode(uri)

    assert num_errors == 0
    assert [f.frame_index for f in whole] == list(range(132))
    assert [f.pts_s for f in whole] == pytest.approx([i / 30 for i in range(132)])
    assert _content(_decode(uri, max_frames=50)[0]) == _content(whole)
