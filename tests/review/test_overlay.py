from fractions import Fraction

import av
import numpy as np
import pytest

from poseact.review.draw import LEFT_COLOR, MIDDLE_COLOR, RIGHT_COLOR, color_of_track
from poseact.review.overlay import decode, draw_frames, draw_people, write_overlay
from poseact.review.people import FramePeople, Person
from poseact.video.decode import Frame
from poseact.video.probe import probe, video_id_of

QUARTER_TURN = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]  # a phone held upright writes it
UNEVEN = (0, 40, 90, 100, 250, 260, 300, 411, 420, 500, 600, 633)


@pytest.fixture
def overlay(tmp_path):
    def write(out, path, *, hide_heads=True):
        target = tmp_path / "overlay.mp4"
        written = write_overlay(
            out, str(path), video_id_of(str(path)), target, hide_heads=hide_heads
        )
        frames = list(decode(probe(str(target))))
        assert len(frames) == written
        return frames

    return write


@pytest.fixture
def standing(joints):
    def stand(track_id=3, *, box=(90, 40, 230, 220), joints_J3=joints, doing="hello 0.91"):
        box_xyxy = np.float32(box)
        return Person(track_id=track_id, box_xyxy=box_xyxy, joints_J3=joints_J3, doing=doing)

    return stand


def times_shown(path):
    """Exact times of all frames, read from the packets by PyAV alone."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [packet.pts for packet in container.demux(stream) if packet.size]
        return [pts * stream.time_base for pts in sorted(packets)]


def is_near(rgb_HWC, x, y, color):
    """Whether a pixel has a colour, as far as chroma of half the resolution can tell."""
    return np.abs(rgb_HWC[y, x].astype(int) - color).max() < 60


def contrast_of_head(rgb_HWC):
    """Range of a column beside the bones from neck to shoulders, within the pattern."""
    column = rgb_HWC[66:92, 146].astype(int)
    return column.max() - column.min()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("v.mp4", {}, id="even"),
        pytest.param("v.mp4", {"pts": UNEVEN, "time_base": Fraction(1, 1000)}, id="uneven"),
        pytest.param("v.mkv", {"pts": UNEVEN, "time_base": Fraction(1, 1000)}, id="matroska"),
        pytest.param("v.mp4", {"pts": UNEVEN, "matrix": QUARTER_TURN}, id="uneven and turned"),
        pytest.param("v.mp4", {"pts": range(60, 72)}, id="from five seconds on"),
        pytest.param("v.mp4", {"time_base": Fraction(1001, 30000)}, id="NTSC"),
    ],
)
def test_it_shows_each_frame_when_the_recording_does(
    make_recording, make_run, tmp_path, name, settings
):
    path = make_recording(name, **settings)
    out, target = make_run(path), tmp_path / "overlay.mp4"

    write_overlay(out, str(path), video_id_of(str(path)), target, hide_heads=True)

    assert times_shown(target) == times_shown(path)
    with av.open(target) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    source, written = probe(str(path)), probe(str(target))
    assert (written.width, written.height) == (source.width, source.height)
    assert written.rotation_deg == 0


def test_a_turned_recording_is_drawn_on_upright(make_recording, make_run, overlay):
    path = make_recording(matrix=QUARTER_TURN)
    out = make_run(path, seen={5})

    frames = overlay(out, path)

    assert frames[5].rgb_HWC.shape == (320, 240, 3)
    assert is_near(frames[5].rgb_HWC, 206, 200, LEFT_COLOR), "the table's pixels are upright ones"
    for before, after in zip(list(decode(probe(str(path))))[6:], frames[6:], strict=True):
        difference = np.abs(before.rgb_HWC.astype(int) - after.rgb_HWC)
        assert difference.mean() < 3, "nobody is in the others"


def test_times_before_zero_move_to_where_players_start(make_recording, make_run, overlay):
    path = make_recording("v.ts", pts=range(-6, 18), avoid_negative_ts="disabled")
    assert times_shown(path)[0] < 0

    frames = overlay(make_run(path), path)

    assert [frame.pts_s for frame in frames] == pytest.approx(np.arange(24) / 12, abs=1e-4)


def test_everybody_has_a_box_joints_and_bones(make_recording, make_run, overlay):
    path = make_recording()

    for frame in overlay(make_run(path), path):
        rgb_HWC = frame.rgb_HWC
        for y in (60, 130, 210):
            assert is_near(rgb_HWC, 90, y, color_of_track(3)), "left edge"
            assert is_near(rgb_HWC, 230, y, color_of_track(3)), "right edge"
        assert is_near(rgb_HWC, 160, 220, color_of_track(3)), "lower edge"
        assert is_near(rgb_HWC, 206, 160, LEFT_COLOR)
        assert is_near(rgb_HWC, 114, 200, RIGHT_COLOR)
        assert is_near(rgb_HWC, 160, 120, MIDDLE_COLOR), "bone between the shoulders"
        assert is_near(rgb_HWC, 300, 120, (90 + frame.frame_index,) * 3), "the scene"


def test_number_action_and_score_are_written_on_the_box(standing):
    black = np.zeros((240, 320, 3), np.uint8)

    def label(**settings):
        return draw_people(black, [standing(**settings)], hide_heads=False)[25:38, 88:200]

    assert (label() > 160).all(axis=2).any(), "white letters"
    assert (label() != label(doing="other 0.91")).any()
    assert (label() != label(track_id=4)).any()


def test_the_label_stays_in_the_picture(standing):
    black = np.zeros((240, 320, 3), np.uint8)

    for box in ((-50, -50, 400, 300), (300, 0, 320, 60), (280, 230, 330, 250)):
        drawn = draw_people(black, [standing(box=box)], hide_heads=False)
        is_white_HW = (drawn > 160).all(axis=2)
        assert np.ptp(np.nonzero(is_white_HW)[1]) > 55, "from the first letter to the last"


def test_a_frame_that_nobody_is_in_goes_through_unchanged():
    frame = Frame(frame_index=0, pts=7, pts_s=0.7, rgb_HWC=np.zeros((4, 4, 3), np.uint8))
    nobody = FramePeople(frame_index=0, pts_s=0.7, people=())

    [(pts, picture)] = draw_frames([frame], iter([nobody]), hide_heads=True)

    assert pts == 7
    assert picture is frame.rgb_HWC


def test_heads_are_hidden_unless_asked_for(make_recording, make_run, overlay):
    path = make_recording()
    out = make_run(path, seen=range(12))

    hidden = [contrast_of_head(frame.rgb_HWC) for frame in overlay(out, path)]
    shown = [contrast_of_head(frame.rgb_HWC) for frame in overlay(out, path, hide_heads=False)]

    assert max(hidden[:12]) < 70
    assert min(hidden[12:]) > 150, "nobody is there"
    assert min(shown) > 150


def test_a_head_stays_hidden_while_its_owner_is_lost_from_sight(make_recording, make_run, overlay):
    path = make_recording()
    out = make_run(path, seen=[*range(8), *range(16, 24)])

    frames = overlay(out, path)

    assert max(contrast_of_head(frame.rgb_HWC) for frame in frames) < 70
    assert is_near(frames[7].rgb_HWC, 206, 200, LEFT_COLOR)
    assert not is_near(frames[12].rgb_HWC, 206, 200, LEFT_COLOR), "not drawn where not seen"


def test_what_was_not_analyzed_is_hidden_altogether(make_recording, make_run, overlay):
    path = make_recording()
    out = make_run(path, seen=(), analyzed=range(12))

    contrast = [contrast_of_head(frame.rgb_HWC) for frame in overlay(out, path)]

    assert min(contrast[:12]) > 150
    assert max(contrast[12:]) < 70
    shown = overlay(out, path, hide_heads=False)
    assert contrast_of_head(shown[20].rgb_HWC) > 150


def test_where_the_head_may_be_anywhere_the_box_is_hidden_and_no_more(standing):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    lost = standing(joints_J3=np.full((7, 3), np.nan, np.float32), doing=None)

    hidden = draw_people(noise, [lost], hide_heads=True)

    assert len(np.unique(hidden[40:220, 90:230].reshape(-1, 3), axis=0)) <= 25
    hidden[40:220, 90:230] = noise[40:220, 90:230]
    np.testing.assert_array_equal(hidden, noise)


def test_no_two_people_share_a_color():
    assert len({color_of_track(track_id) for track_id in range(200)}) == 200


def test_frames_are_drawn_one_by_one():
    decoded = []

    def frames():
        for index in range(100):
            decoded.append(index)
            picture = np.zeros((4, 4, 3), np.uint8)
            yield Frame(frame_index=index, pts=index, pts_s=index / 10, rgb_HWC=picture)

    people = (FramePeople(frame_index=i, pts_s=i / 10, people=()) for i in range(100))
    drawn = draw_frames(frames(), people, hide_heads=True)

    assert [next(drawn)[0] for _ in range(3)] == [0, 1, 2]
    assert decoded == [0, 1, 2]
