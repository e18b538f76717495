import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.dates import num2date

from poseact.review.band import OTHER_COLOR, action_colors, draw_band

FPS = 10
START = pd.Timestamp("2026-03-02T08:00:00Z")


def a_timeline(actions, *, track=0, camera="lobby", utc=True, skip=()):
    """One person, one frame per action; '-' is a frame with nobody."""
    rows = [
        {
            "video_id": f"v-{camera}",
            "frame_index": i,
            "pts_s": i / FPS,
            "time_utc": START + pd.Timedelta(seconds=i / FPS) if utc else pd.NaT,
            "track_id": None if action == "-" else track,
            "action": "" if action == "-" else action,
            "camera_id": camera,
        }
        for i, action in enumerate(actions)
        if i not in skip
    ]
    frame = pd.DataFrame(rows).astype({"track_id": "Int32"})
    frame["time_utc"] = pd.to_datetime(frame["time_utc"], utc=True)
    frame.attrs["actions"] = ["namaste", "hello", "other"]
    return frame


def no_segments():
    return pd.DataFrame(
        {
            "video_id": pd.Series(dtype=str),
            "track_id": pd.Series(dtype="Int32"),
            "action": pd.Series(dtype=str),
            "hand": pd.Series(dtype=str),
            "peak_score": pd.Series(dtype=float),
            "start_s": pd.Series(dtype=float),
            "end_s": pd.Series(dtype=float),
            "start_utc": pd.Series(dtype="datetime64[us, UTC]"),
            "end_utc": pd.Series(dtype="datetime64[us, UTC]"),
        }
    )


def bars(figure):
    """(row, color, start, end) of each band, in drawing order."""
    found = []
    for collection in figure.axes[0].collections:
        face = collection.get_facecolor()
        if not len(face):
            continue
        for path in collection.get_paths():
            box = path.get_extents()
            row = round((box.y0 + box.y1) / 2)
            found.append((row, to_hex(face[0]), round(box.x0, 9), round(box.x1, 9)))
    return found


def draw(timeline, segments=None):
    return draw_band(timeline, no_segments() if segments is None else segments, io.BytesIO())


def test_one_bar_per_stretch_of_one_action_half_open():
    figure = draw(a_timeline(["other"] * 3 + ["hello"] * 4, utc=False))

    hello = action_colors(["hello", "namaste", "other"])["hello"]
    assert bars(figure) == [(0, OTHER_COLOR, 0.0, 0.3), (0, hello, 0.3, pytest.approx(0.7))]


def test_nothing_is_drawn_where_nobody_was():
    figure = draw(a_timeline(["other"] * 3 + ["-"] * 4 + ["other"] * 3, utc=False))

    assert [(start, end) for _, _, start, end in bars(figure)] == [
        (0.0, pytest.approx(0.3)),
        (0.7, pytest.approx(1.0)),
    ]


def test_one_lost_frame_is_no_gap_but_three_are():
    one_lost = draw(a_timeline(["other"] * 10, utc=False, skip={4}))
    three_lost = draw(a_timeline(["other"] * 10, utc=False, skip={4, 5, 6}))

    assert len(bars(one_lost)) == 1
    assert len(bars(three_lost)) == 2


def test_people_are_rows_grouped_by_camera():
    timeline = pd.concat(
        [
            a_timeline(["other"] * 3, track=1, camera="lobby"),
            a_timeline(["other"] * 3, camera="gate"),
            a_timeline(["other"] * 3, track=0, camera="lobby"),
        ]
    )

    labels = [tick.get_text() for tick in draw(timeline).axes[0].get_yticklabels()]

    assert labels == ["gate, person 0", "lobby, person 0", "lobby, person 1"]


def test_the_axis_is_utc_where_it_is_known():
    figure = draw(a_timeline(["hello"] * 10))

    (_, _, start, end) = bars(figure)[0]
    assert figure.axes[0].get_xlabel() == "UTC, 2026-03-02"
    assert num2date(start) == pytest.approx(START.to_pydatetime(), abs=pd.Timedelta("1ms"))
    assert (end - start) * 86400 == pytest.approx(1.0, abs=1e-3)


def test_the_axis_is_presentation_time_where_one_video_has_no_clock():
    timeline = pd.concat(
        [a_timeline(["other"] * 3), a_timeline(["other"] * 3, camera="b", utc=False)]
    )

    assert draw(timeline).axes[0].get_xlabel() == "presentation time, seconds"


def test_segments_are_framed_and_named():
    segments = no_segments()
    segments.loc[0] = {
        "video_id": "v-lobby", "track_id": 0, "action": "hello", "hand": "left", "peak_score": 0.97,
        "start_s": 0.2, "end_s": 0.6, "start_utc": START, "end_utc": START,
    }  # fmt: skip
    figure = draw(a_timeline(["hello"] * 10, utc=False), segments)

    frame = figure.axes[0].collections[-1]
    box = frame.get_paths()[0].get_extents()
    assert (box.x0, box.x1) == (pytest.approx(0.2), pytest.approx(0.6))
    assert not len(frame.get_facecolor())
    assert [text.get_text() for text in figure.axes[0].texts] == ["hello left 0.97"]


def test_an_empty_run_says_that_nobody_was_seen():
    figure = draw(a_timeline(["-"] * 4))

    assert [text.get_text() for text in figure.axes[0].texts] == ["nobody was seen"]


def test_the_picture_is_written(tmp_path):
    draw_band(a_timeline(["hello"] * 4), no_segments(), tmp_path / "band.png")

    assert (tmp_path / "band.png").read_bytes().startswith(b"\x89PNG")


def test_colors_belong_to_actions_whatever_their_order():
    assert action_colors(["other", "hello", "namaste"]) == action_colors(
        ["namaste", "other", "hello"]
    )
    many = action_colors([f"action {i}" for i in range(6)])
    assert len(set(many.values())) == 7
    assert np.all([color.startswith("#") for color in many.values()])


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        pytest.param("$x_{$", "$x_{$", id="what would be a broken formula"),
        pytest.param("a$b$c", "a$b$c", id="what would be a formula"),
        pytest.param("_hello", "_hello", id="what matplotlib may keep out of legends"),
        pytest.param("a\nb\x1b[1m", "a\\nb\\x1b[1m", id="a break and an escape code"),
        pytest.param("<b>&amp;", "<b>&amp;", id="markup"),
    ],
)
def test_names_are_drawn_as_they_are(name, drawn):
    segment = {"video_id": f"v-{name}", "track_id": 0, "action": name, "hand": None}
    times = {"start_s": 0.0, "end_s": 1.0, "start_utc": START, "end_utc": START}
    segments = pd.DataFrame([{**segment, **times, "peak_score": 0.9}])

    figure = draw_band(a_timeline([name] * 10, camera=name), segments, io.BytesIO())

    (axes,) = figure.axes
    legend, names, people = axes.get_legend().get_texts(), axes.texts, axes.get_yticklabels()
    assert drawn in [text.get_text() for text in legend]
    assert [text.get_text() for text in names] == [f"{drawn} 0.90"]
    assert [text.get_text() for text in people] == [f"{drawn}, person 0"]
    assert not any(text.get_parse_math() for text in (*legend, *names, *people))
