import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from poseact.analysis.finalize import finalize
from poseact.analysis.ledger import Receipt
from poseact.analysis.outcome import is_final
from poseact.analysis.people import People
from poseact.analysis.plan import make_plan
from poseact.analysis.run import Run
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NUM_JOINTS,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)
from poseact.timeline.segments import SegmentRules
from poseact.timeline.tables import read_segments, read_timeline, read_videos

NAN = float("nan")
FRAME_BYTES = 320 * 240 * 3
ACTIONS = ("namaste", "hello", "other")
HELLO, OTHER = True, False
LEFT_BOX, RIGHT_BOX = (0, 0, 100, 200), (200, 0, 300, 200)


class RaisedHands:
    """Takes a hand above the head for hello; without a head it cannot tell."""

    def score(self, joints_TJ3, pts_s_T):
        assert len(joints_TJ3) == len(pts_s_T)
        is_up_T = (joints_TJ3[:, [L_WRIST, R_WRIST], 1] < joints_TJ3[:, [HEAD], 1]).any(axis=1)
        return np.where(is_up_T[:, None], (0.0, 0.9, 0.1), (0.0, 0.1, 0.9)).astype(np.float32)


def standing(raised_wrist):
    """A person who faces the camera, so that their left is on the right, one hand up or none."""
    joints_J3 = np.ones((NUM_JOINTS, 3), np.float32)
    for joint, x, y in (
        (HEAD, 50, 20),
        (L_SHOULDER, 60, 40),
        (R_SHOULDER, 40, 40),
        (L_ELBOW, 65, 60),
        (R_ELBOW, 35, 60),
        (L_WRIST, 65, 80),
        (R_WRIST, 35, 80),
    ):
        joints_J3[joint, :2] = x, y
    if raised_wrist is not None:
        joints_J3[raised_wrist, 1] = 0
    return joints_J3


def person(frame, waves, *, box=LEFT_BOX, raised_wrist=L_WRIST, head_confidence=1.0, score=NAN):
    joints_J3 = standing(raised_wrist if waves else None)
    joints_J3[HEAD, 2] = head_confidence
    return frame, box, joints_J3, score


def nobody(frame):
    return frame, (NAN,) * 4, np.full((NUM_JOINTS, 3), NAN, np.float32), NAN


def people_of(rows):
    frames, boxes, joints, scores = zip(*rows, strict=True)
    return People(
        frame_index_N=np.array(frames, np.int64),
        pts_s_N=np.array(frames) / 10,
        boxes_N4=np.array(boxes, np.float32),
        detection_score_N=np.array(scores, np.float32),
        joints_NJ3=np.array(joints, np.float32),
    )


@pytest.fixture
def uri(make_video):
    """40 frames, 10 a second."""
    return str(make_video("yard/gate_20240131T235958Z.mp4"))


@pytest.fixture
def finalize_rows(uri, tmp_path):
    """Finalize that video as if these people had been found in it."""

    def run_over(
        rows,
        *,
        frames_per_chunk=10,
        out="out",
        receipt_changes=None,
        info_changes=None,
        before_it=lambda _run, _video: None,
        min_detection_score=None,
    ):
        run = Run(
            out=tmp_path / out,
            run_id="run",
            config_hash="hash",
            model_id="pose+action",
            actions=ACTIONS,
            rules=SegmentRules(
                on=0.6, off=0.4, min_duration_s=0.3, merge_gap_s=0.0, min_mean_score=0.0
            ),
            own_ids=frozenset(["run"]),
            min_detection_score=min_detection_score,
        )
        run.work.prepare()
        [video] = make_plan([uri], chunk_bytes=frames_per_chunk * FRAME_BYTES).videos
        video = dataclasses.replace(
            video, info=dataclasses.replace(video.info, **(info_changes or {}))
        )
        run.work.save_plan(video)
        record = {"run_id": "run", "decisive": {}, "actions": ACTIONS, "config": {}}
        (run.out / "run.json").write_text(json.dumps(record))
        for chunk in video.chunks:
            first = chunk.first_frame_index
            mine = [row for row in rows if first <= row[0] < first + chunk.num_frames]
            if mine:
                run.work.write_part(chunk.video_id, chunk.chunk_id, people_of(mine).to_table())
            receipt = Receipt(
                chunk_id=chunk.chunk_id,
                video_id=chunk.video_id,
                uri=chunk.uri,
                num_planned=chunk.num_frames,
                num_frames=len({row[0] for row in mine}),
                last_good_pts_s=mine[-1][0] / 10 if mine else None,
                decode_s=1.0,
                pose_s=2.0,
                **((receipt_changes or {}).get(first, {})),
            )
            run.work.save_receipt(receipt)
        before_it(run, video)
        return run.out, finalize(video.info.video_id, run, RaisedHands())

    return run_over


def test_a_wave_becomes_one_segment_across_chunks(finalize_rows):
    rows = [person(frame, HELLO if 15 <= frame < 25 else OTHER) for frame in range(40)]

    out, outcome = finalize_rows(rows)

    [segment] = read_segments(out).to_dict("records")
    assert segment["action"] == "hello"
    assert segment["hand"] == "left"
    # smoothing over 0.3 s moves each edge by at most one frame
    assert abs(segment["start_frame"] - 15) <= 1
    assert abs(segment["end_frame"] - 25) <= 1
    assert segment["peak_score"] == pytest.approx(0.9)
    assert segment["start_utc"] == pd.Timestamp("2024-01-31T23:59:58Z") + pd.Timedelta(
        seconds=segment["start_s"]
    )
    assert outcome.segments == {"hello": 1}
    assert outcome.num_people == 1
    assert outcome.peaks == pytest.approx({"namaste": 0.0, "hello": 0.9})


def test_the_tables_do_not_depend_on_the_chunks(finalize_rows):
    waves = np.random.default_rng(0).random(40) < 0.5
    waves[10:22] = True
    rows = [person(f, waves[f]) if f not in (7, 8, 30) else nobody(f) for f in range(40)]

    outs = [
        finalize_rows(rows, frames_per_chunk=frames, out=f"out{frames}")[0]
        for frames in (40, 10, 3)
    ]

    tables = [
        {path.name: path.read_bytes() for path in (out / table).rglob("*.parquet")}
        for table in ("timeline", "segments")
        for out in outs
    ]
    assert tables[0] == tables[1] == tables[2]
    assert tables[3] == tables[4] == tables[5]
    assert len(read_segments(outs[0])) > 0


def test_a_frame_with_nobody_keeps_a_row_and_ends_the_action(finalize_rows):
    rows = [nobody(f) if 10 <= f < 30 else person(f, HELLO) for f in range(40)]

    out, outcome = finalize_rows(rows)

    timeline = read_timeline(out)
    assert timeline["frame_index"].tolist() == [*range(40)]
    gone = timeline[timeline["track_id"].isna()]
    assert gone["frame_index"].tolist() == [*range(10, 30)]
    assert gone["score"].isna().all()
    assert set(gone["action"]) == {""}
    assert set(gone["reason"]) == {"no_person"}
    assert timeline["reason"].isna().sum() == 20
    # away for two seconds: whoever comes back counts as another person
    assert outcome.num_people == 2
    assert read_segments(out)[["track_id", "start_frame", "end_frame"]].to_numpy().tolist() == [
        [0, 0, 10],
        [1, 30, 40],
    ]


def test_two_people_at_once_are_told_apart(finalize_rows):
    rows = [
        row
        for frame in range(40)
        for row in (
            person(frame, HELLO, box=RIGHT_BOX, raised_wrist=R_WRIST),
            person(frame, OTHER, box=LEFT_BOX),
        )
    ]

    out, outcome = finalize_rows(rows)

    timeline = read_timeline(out)
    assert outcome.num_people == 2
    assert len(timeline) == 80
    assert timeline.groupby("track_id", observed=True)["action"].unique().map(list).tolist() == [
        ["other"],
        ["hello"],
    ]
    segments = read_segments(out)
    assert segments["hand"].tolist() == ["right"]
    assert segments["track_id"].tolist() == [1]


def test_without_a_head_nothing_is_told(finalize_rows):
    rows = [person(f, HELLO, head_confidence=0.4 if f < 20 else 1.0) for f in range(40)]

    out, _ = finalize_rows(rows)

    timeline = read_timeline(out).set_index("frame_index")
    # smoothing over 0.3 s blurs the border by a frame
    assert set(timeline.loc[:18, "action"]) == {"other"}
    assert set(timeline.loc[:18, "reason"]) == {"low_pose_confidence"}
    assert set(timeline.loc[21:, "action"]) == {"hello"}
    assert timeline.loc[21:, "reason"].isna().all()
    [segment] = read_segments(out).to_dict("records")
    assert abs(segment["start_frame"] - 20) <= 1


def test_who_is_sure_in_one_frame_is_believed_in_all(finalize_rows):
    rows = [person(f, HELLO, score=0.5 if f == 20 else 0.4) for f in range(40)]

    out, outcome = finalize_rows(rows, min_detection_score=0.5)

    assert outcome.num_people == 1
    assert read_timeline(out)["track_id"].tolist() == [0] * 40


def test_who_is_never_sure_is_nobody(finalize_rows):
    rows = [
        row
        for frame in range(40)
        for row in (
            [person(frame, HELLO, box=LEFT_BOX, score=0.4)]
            + [person(frame, OTHER, box=RIGHT_BOX, score=0.6)] * (frame < 30)
        )
    ]

    out, outcome = finalize_rows(rows, min_detection_score=0.5)

    timeline = read_timeline(out)
    assert outcome.num_people == 1
    assert timeline["frame_index"].tolist() == [*range(40)], "every frame keeps a row"
    assert timeline["track_id"].fillna(-1).tolist() == [0] * 30 + [-1] * 10
    assert {box[0] for box in timeline["bbox_xyxy_px"][:30]} == {RIGHT_BOX[0]}
    assert timeline["detection_score"][30:].isna().all()
    assert len(read_segments(out)) == 0


def test_the_clock_starts_at_the_first_frame_whatever_its_pts(finalize_rows, uri):
    info = make_plan([uri], chunk_bytes=FRAME_BYTES).videos[0].info
    one_second = round(1 / info.time_base)
    rows = [person(frame, OTHER) for frame in range(10, 40)]

    out, _ = finalize_rows(rows, info_changes={"start_pts": one_second})

    first = read_timeline(out).iloc[0]
    assert first["pts_s"] == 1.0
    assert first["time_utc"] == pd.Timestamp("2024-01-31T23:59:58Z")
    assert first["date"] == "2024-01-31"


def test_without_a_clock_there_are_no_times_of_day(finalize_rows):
    rows = [person(frame, HELLO) for frame in range(40)]

    out, _ = finalize_rows(rows, info_changes={"start_utc": None, "camera_id": None})

    assert read_timeline(out)["time_utc"].isna().all()
    assert read_segments(out)["start_utc"].isna().all()
    assert read_timeline(out)["camera_id"].isna().all()


@pytest.mark.parametrize(
    ("frames", "receipt_changes", "status", "error_kind"),
    [
        pytest.param(range(40), {}, "ok", None, id="every frame"),
        pytest.param(range(30), {}, "partial", "FramesLost", id="the end is missing"),
        pytest.param(range(40), {10: {"decode_errors": 1}}, "partial", "FramesLost", id="damage"),
        pytest.param(
            range(30),
            {30: {"error_kind": "Quarantined", "error": "it killed its worker"}},
            "partial",
            "Quarantined",
            id="a chunk set aside",
        ),
        pytest.param([], {}, "failed", "FramesLost", id="no frame at all"),
    ],
)
def test_the_videos_row_tells_how_much_was_analysed(
    finalize_rows, frames, receipt_changes, status, error_kind
):
    rows = [person(frame, OTHER) for frame in frames]

    out, outcome = finalize_rows(rows, receipt_changes=receipt_changes)

    [row] = read_videos(out).astype(object).to_dict("records")
    assert row["status"] == outcome.row["status"] == status
    assert row["frames_analyzed"] == len(rows)
    assert row["frames_expected"] == 40
    assert (row["error_kind"] if error_kind else outcome.row["error_kind"]) == error_kind
    assert row["decode_s"] == 4.0
    assert row["watch_s"] == 8.0
    assert outcome.row["last_good_pts_s"] == (max(frames) / 10 if rows else None)
    assert len(read_timeline(out)) == len(rows)


def test_a_store_that_failed_counts_more_than_a_crash(finalize_rows):
    crash = {"error_kind": "Crashed", "error": "decode crashed"}
    store = {"error_kind": "VideoError", "error": "the store is down"}

    _, outcome = finalize_rows([], receipt_changes={0: crash, 10: store})

    assert outcome.row["error"] == "the store is down"
    assert not is_final(outcome.row), "it is tried again"


def test_a_video_that_is_tried_again_gets_new_tables(finalize_rows):
    """Its row of the first try is there, and of the same run."""
    store = {"error_kind": "VideoError", "error": "the store is down"}
    finalize_rows([], receipt_changes={0: store})

    out, outcome = finalize_rows([person(frame, HELLO) for frame in range(40)])

    assert outcome.row["status"] == "ok"
    assert read_videos(out)["status"].tolist() == ["ok"]
    assert len(read_timeline(out)) == 40


def test_who_died_while_forgetting_only_forgets(finalize_rows):
    def die_after_the_first_receipt(run, video):
        finalize(video.info.video_id, run, RaisedHands())
        run.work.save_plan(video)

    out, outcome = finalize_rows(
        [person(frame, HELLO) for frame in range(40)], before_it=die_after_the_first_receipt
    )

    assert outcome.row["status"] == "ok"
    assert len(read_timeline(out)) == 40
    assert not [path for path in (out / "work").rglob("*") if path.is_file()]


def test_a_video_that_nobody_survives_has_empty_tables_and_says_so(finalize_rows):
    def die_thrice(run, video):
        for number in range(3):
            note = run.work.attempts.root / f"{video.info.video_id}.finalizing.{number}"
            note.write_bytes(b" " * 31 + b"\nFatal Python error: Segmentation fault")

    out, outcome = finalize_rows(
        [person(frame, HELLO) for frame in range(40)], before_it=die_thrice
    )

    assert (outcome.row["status"], outcome.row["error_kind"]) == ("failed", "Crashed")
    assert "finalizing crashed its process each time it was started" in outcome.row["error"]
    assert len(read_timeline(out)) == len(read_segments(out)) == 0
    assert is_final(outcome.row)
    assert not [path for path in (out / "work").rglob("*") if path.is_file()]


def test_nothing_of_the_work_is_left(finalize_rows):
    out, _ = finalize_rows([person(frame, OTHER) for frame in range(40)])

    assert not [path for path in (out / "work").rglob("*") if path.is_file()]
