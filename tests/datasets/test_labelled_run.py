import numpy as np
import pyarrow as pa
import pytest

from poseact.datasets.intervals import read_intervals
from poseact.datasets.labelled_run import label_run
from poseact.errors import InputError
from poseact.skeleton import HEAD
from poseact.timeline.schema import timeline_schema
from poseact.timeline.tables import write_timeline, write_video_row

NAN = float("nan")
UPRIGHT = np.float32([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]])


def joints_of(track, frame, confidence):
    joints_J3 = np.ones((7, 3), np.float32)
    joints_J3[:, :2] = UPRIGHT + 100 * track + frame
    joints_J3[HEAD, 2] = confidence
    return joints_J3.ravel().tolist()


def row(video_id, frame, track, confidence=1.0):
    nobody = track is None
    return {
        "video_id": video_id,
        "frame_index": frame,
        "pts_s": frame / 10,
        "track_id": track,
        "bbox_xyxy_px": [NAN if nobody else 1.0] * 4,
        "detection_score": NAN,
        "joints": [NAN] * 21 if nobody else joints_of(track, frame, confidence),
        "action": "" if nobody else "other",
        "score": NAN if nobody else 1.0,
        "scores": [NAN if nobody else 1.0],
        "config_hash": "c",
        "model_id": "m",
    }


@pytest.fixture
def out(tmp_path):
    """Two recordings of a second; in `yard/a.mp4` track 0 stays, 1 comes in the second half."""
    folder = tmp_path / "out"
    recordings = {
        "id-a": ("/yard/a.mp4", [*(row("id-a", f, 0) for f in range(10))]),
        "id-b": ("/gate/b.mp4", [row("id-b", f, 0 if f else None) for f in range(10)]),
        "id-c": ("/gate/a.mp4", [row("id-c", f, None) for f in range(10)]),
    }
    recordings["id-a"][1].extend(row("id-a", f, 1) for f in range(5, 10))
    for video_id, (uri, rows) in recordings.items():
        write_timeline(
            folder,
            pa.Table.from_pylist(rows, schema=timeline_schema(["other"])),
            video_id=video_id,
            camera_id="x",
            start_utc=None,
        )
        write_row(folder, video_id, uri)
    write_row(folder, "id-d", "/gate/d.mp4", status="failed")
    return folder


def write_row(folder, video_id, uri, status="ok"):
    write_video_row(
        folder,
        {
            "video_id": video_id,
            "uri": uri,
            "frames_analyzed": 10,
            "boxes_too_small": 0,
            "status": status,
            "decode_s": 0.0,
            "watch_s": 0.0,
            "run_id": "r",
        },
    )


@pytest.fixture
def label(out, tmp_path):
    def read_and_label(*lines, header="video,label,start,end"):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return label_run(read_intervals(path), out)

    return read_and_label


def spans(sequences):
    """Track, class and tenths of a second of each sequence; the track shows in the joints."""
    return [
        (
            round(float(one.joints_TJ3[0, HEAD, 0] - one.pts_s_T[0] * 10) // 100),
            sequences.classes[one.label],
            [round(t * 10) for t in (one.pts_s_T[0], one.pts_s_T[-1])],
        )
        for one in sequences
    ]


def test_an_interval_labels_everybody_and_the_rest_is_other(label):
    labelled = label("/yard/a.mp4,Bow,0.3,0.7")

    assert labelled.poses.classes == ("bow", "other")
    # frames 3 to 6 of track 0, 5 and 6 of track 1
    assert spans(labelled.sequences) == [
        (0, "other", [0, 2]),
        (0, "bow", [3, 6]),
        (0, "other", [7, 9]),
        (1, "bow", [5, 6]),
        (1, "other", [7, 9]),
    ]
    assert labelled.poses.count_classes() == labelled.report.counts == {"bow": 6, "other": 9}
    assert set(labelled.poses.groups_N) == {"/yard/a.mp4"}
    np.testing.assert_allclose(labelled.poses.joints_NJ3[4, :, :2], UPRIGHT / 10, atol=1e-5)
    assert "labels.csv:2: labels several people at once" in labelled.report.summary()


def test_a_track_names_the_one_who_is_meant(label):
    labelled = label(
        "id-a,bow,0,1,1", "id-a,kick,0:00,0:00:00.5,0", header="video,label,start,end,track"
    )

    assert spans(labelled.sequences) == [
        (0, "kick", [0, 4]),
        (0, "other", [5, 9]),
        (1, "bow", [5, 9]),
    ]
    assert labelled.report.notes == ()


def test_only_labelled_recordings_are_used_and_nobody_is_no_example(label):
    labelled = label("b,bow,0,0.5", "b,bow,0.4,0.6")

    assert len(labelled.poses) == 9
    assert spans(labelled.sequences) == [(0, "bow", [1, 5]), (0, "other", [6, 9])]
    assert labelled.report.num_groups == 1
    assert labelled.report.lone_classes == ("bow", "other")


def test_an_interval_without_anybody_is_told(label):
    labelled = label("b,bow,0.5,0.9", "b,kick,0,0.1")

    assert [note.partition(": ")[2] for note in labelled.report.notes] == [
        "nobody is made out in this interval"
    ]
    assert labelled.report.counts == {"bow": 4, "kick": 0, "other": 5}


def test_who_cannot_be_made_out_is_left_out(label, out):
    rows = [row("id-b", f, 0, confidence=0.4 if f < 3 else 1.0) for f in range(10)]
    table = pa.Table.from_pylist(rows, schema=timeline_schema(["other"]))
    write_timeline(out, table, video_id="id-b", camera_id="x", start_utc=None)

    labelled = label("b,bow,0,0.5")

    assert labelled.report.counts == {"bow": 2, "other": 5}
    assert "shoulders or head unclear in 3 poses" in labelled.report.summary()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["e,bow,0,1"], r"csv:2: .*no recording called 'e'", id="unknown video"),
        pytest.param(["a,bow,0,1"], r"csv:2: .*2 recordings called 'a'", id="two of one name"),
        pytest.param(["d,bow,0,1"], r"csv:2: /gate/d.mp4 could not", id="a failed one"),
        pytest.param(["b,bow,1,1"], r"csv:2: end must be after start", id="no length"),
        pytest.param(["b,bow,0,1", "b,bow,x,1"], r"csv:3: start .*'x'", id="not a time"),
        pytest.param(["b,bow,0,nan"], r"csv:2: end .*'nan'", id="not a number"),
        pytest.param(["b,,0,1"], r"csv:2: .*must not be empty", id="no label"),
        pytest.param(["b,bow,0"], r"csv:2: end .*''", id="a short row"),
        pytest.param(
            ["b,bow,0,0.5", "/gate/b.mp4,kick,0.4,1"], r"csv:3: 'kick' overlaps 'bow' of .*csv:2",
            id="overlap under another name",
        ),
        pytest.param(["id-c,bow,0,1"], "nobody is made out", id="nobody at all"),
        pytest.param([], "no intervals", id="empty"),
    ],
)  # fmt: skip
def test_a_wrong_interval_is_refused_with_its_line(label, lines, message):
    with pytest.raises(InputError, match=message):
        label(*lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["b,bow,0,1,7"], r"csv:2: nobody .* has track 7", id="unknown track"),
        pytest.param(["b,bow,0,1,me"], r"csv:2: track .*'me'", id="not a number"),
        pytest.param(
            ["id-a,bow,0,1,0", "id-a,kick,0.9,2,"], r"csv:3: 'kick' overlaps", id="with everybody"
        ),
    ],
)
def test_a_wrong_track_is_refused_with_its_line(label, lines, message):
    with pytest.raises(InputError, match=message):
        label(*lines, header="video,label,start,end,track")


def test_neighbours_do_not_overlap(label):
    labelled = label("b,bow,0.1,0.5", "b,kick,0.5,1")

    assert spans(labelled.sequences) == [(0, "bow", [1, 4]), (0, "kick", [5, 9])]
    assert labelled.report.counts == {"bow": 4, "kick": 5, "other": 0}


def test_a_folder_that_is_no_run_is_refused(tmp_path, label):
    (tmp_path / "labels.csv").write_text("video,label,start,end\nb,bow,0,1\n")

    with pytest.raises(InputError, match="no run of poseact"):
        label_run(read_intervals(tmp_path / "labels.csv"), tmp_path / "nowhere")
