import numpy as np
import pandas as pd
import pytest

from poseact.errors import InputError, VideoError
from poseact.review.contact import contact_sheet, read_frames
from poseact.skeleton import HEAD, L_SHOULDER, R_SHOULDER
from poseact.video.encode import write_video

WIDTH, HEIGHT, NUM_FRAMES = 160, 120, 48


def grey_of(frame_index):
    return 20 + 4 * frame_index


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Each frame is grey by its index, with a fine pattern where the head is."""
    path = tmp_path_factory.mktemp("contact") / "gate_20260302T080000Z.mp4"
    frames = []
    for index in range(NUM_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), grey_of(index), np.uint8)
        frame[20:40:4, 70:90] = 255
        frame[22:40:4, 70:90] = 0
        frames.append(frame)
    write_video(path, frames, fps=12, gop_size=12)
    return str(path)


@pytest.fixture
def timeline():
    joints = np.full((7, 3), np.nan, np.float32)
    joints[HEAD] = (80, 30, 0.9)
    joints[L_SHOULDER], joints[R_SHOULDER] = (100, 60, 0.9), (60, 60, 0.9)
    return pd.DataFrame(
        {
            "video_id": "v",
            "frame_index": np.arange(NUM_FRAMES),
            "pts_s": np.arange(NUM_FRAMES) / 12,
            "track_id": pd.array([3] * NUM_FRAMES, "Int32"),
            "joints": [joints.ravel()] * NUM_FRAMES,
            "action": "hello",
            "score": 0.9,
        }
    )


def a_segment(start, end):
    return pd.Series({"video_id": "v", "track_id": 3, "start_frame": start, "end_frame": end})


def grey_of_tile(sheet, column, row=0):
    y, x = row * (HEIGHT + 4), column * (WIDTH + 4)
    return float(np.median(sheet[y + 80 : y + 110, x + 10 : x + 50]))


def test_the_sheet_shows_frames_evenly_spread_over_the_segment(recording, timeline):
    sheet = contact_sheet(a_segment(8, 40), timeline, recording, tile_width_px=WIDTH)

    assert sheet.shape == (2 * HEIGHT + 4, 4 * WIDTH + 3 * 4, 3)
    shown = [grey_of_tile(sheet, i % 4, i // 4) for i in range(8)]
    assert shown == [pytest.approx(grey_of(i), abs=4) for i in (10, 14, 18, 22, 26, 30, 34, 38)]


def test_a_segment_shorter_than_the_sheet_shows_each_frame_once(recording, timeline):
    sheet = contact_sheet(a_segment(5, 8), timeline, recording, tile_width_px=WIDTH)

    assert sheet.shape == (HEIGHT, 3 * WIDTH + 2 * 4, 3)
    assert [grey_of_tile(sheet, i) for i in range(3)] == [
        pytest.approx(grey_of(i), abs=4) for i in (5, 6, 7)
    ]


def test_heads_are_hidden_unless_asked_for(recording, timeline):
    def contrast(**settings):
        sheet = contact_sheet(a_segment(5, 6), timeline, recording, tile_width_px=WIDTH, **settings)
        return int(sheet[20:38, 86:89].max()) - int(sheet[20:38, 86:89].min())

    assert contrast() < 60
    assert contrast(hide_heads=False) > 150


def test_others_in_the_picture_have_their_heads_hidden_too(recording, timeline):
    timeline["track_id"] = pd.array([4] * NUM_FRAMES, "Int32")

    sheet = contact_sheet(a_segment(5, 6), timeline, recording, tile_width_px=WIDTH)

    assert int(sheet[20:38, 72:88].max()) - int(sheet[20:38, 72:88].min()) < 60


def test_the_person_of_the_segment_gets_a_skeleton(recording, timeline):
    sheet = contact_sheet(a_segment(5, 6), timeline, recording, tile_width_px=WIDTH)

    red, green, blue = sheet[60, 80].astype(int)
    assert red > blue + 50, "the bone between the shoulders is yellow"
    assert green > blue + 50


def test_single_frames_of_any_part_of_the_recording(recording):
    frames = read_frames(recording, [0, 13, 47, 99])

    assert sorted(frames) == [0, 13, 47]
    assert np.median(frames[13]) == pytest.approx(grey_of(13), abs=4)


def test_a_recording_that_was_cut_is_named(recording, timeline):
    with pytest.raises(InputError, match="frames 90 to 94"):
        contact_sheet(a_segment(90, 95), timeline, recording)


def test_a_missing_recording_is_named(timeline, tmp_path):
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        contact_sheet(a_segment(1, 5), timeline, str(tmp_path / "gone.mp4"))
