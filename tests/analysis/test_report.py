import dataclasses
import io
from pathlib import Path

import pytest

from poseact.analysis.ledger import Receipt
from poseact.analysis.outcome import VideoOutcome
from poseact.analysis.plan import UnreadableVideo, make_outline
from poseact.analysis.report import (
    Progress,
    Spent,
    dry_run_text,
    progress_line,
    summary,
    why_nothing,
)
from poseact.analysis.run import Run
from poseact.timeline.segments import SegmentRules

RULES = SegmentRules(on=0.6, off=0.4, min_duration_s=0.5)
RUN = Run(
    out=Path("/out"),
    run_id="r",
    config_hash="h",
    model_id="m",
    actions=("hello",),
    rules=RULES,
    own_ids=frozenset(["r"]),
    min_detection_score=None,
)


def outcome(status="ok", *, frames=100, seconds=10.0, error=None, **details):
    row = {"status": status, "frames_analyzed": frames, "duration_s": seconds, "error": error}
    return VideoOutcome(row=row, **details)


def test_progress_says_frames_speed_and_time_left():
    assert progress_line(2500, 10000, 3.21, 75.4) == (
        "2,500 / 10,000 frames (25%), 3.2 x real time, ETA 0:01:15"
    )


def test_without_a_terminal_a_line_comes_every_ten_seconds():
    log, clock = io.StringIO(), iter([0.0, 4.0, 10.0, 15.0, 20.0])
    progress = Progress(num_frames=1000, video_s=40.0, stream=log, clock=lambda: next(clock))

    for _ in range(4):
        progress.advance(100)
    progress.close()

    # 200 of 1000 frames, which are 8 of 40 s, in 10 s: 40 s to go; 400 in 20 s: 30 s to go
    assert log.getvalue().splitlines() == [
        "200 / 1,000 frames (20%), 0.8 x real time, ETA 0:00:40",
        "400 / 1,000 frames (40%), 0.8 x real time, ETA 0:00:30",
    ]


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    progress = Progress(num_frames=100, video_s=4.0, stream=terminal)

    progress.advance(100)
    progress.close()

    assert "100/100" in terminal.getvalue()
    assert "x real time" in terminal.getvalue()


def test_the_summary_adds_up_the_videos():
    outcomes = [
        outcome(num_people=1, segments={"hello": 2}, finalize_s=1.0),
        outcome(num_people=2, segments={"hello": 1, "namaste": 1}),
        outcome("partial", frames=50, error="/b.mp4: half of it is lost"),
    ]
    # the first 125 of these 250 frames were analysed by an earlier run
    spent = Spent()
    for n in (75, 50):
        spent.add(
            Receipt(
                chunk_id="c",
                video_id="v",
                uri="u",
                num_planned=n,
                num_frames=n,
                decode_s=1,
                pose_s=3.5,
            )
        )
    unreadable = {"status": "failed", "error": "/c.mp4: no video"}

    text = summary(
        spent,
        outcomes,
        [*(o.row for o in outcomes), unreadable],
        RUN,
        startup_s=2.0,
        elapsed_s=5.0,
    )

    assert text.splitlines() == [
        "videos: 2 ok, 1 partial, 1 failed",
        "  partial: /b.mp4: half of it is lost",
        "  failed: /c.mp4: no video",
        "frames: 125 in 5.0 s, 25.0 frames/s, 3.0 x real time (start-up took 2.0 s)",
        "time: decode 20%, detect 0%, pose 70%, commit 0%, finalize 10%",
        "people: 3",
        "segments: hello 3, namaste 1",
        "tables: /out (timeline, segments, videos)",
        "A score is a prompt for a person, not a finding.",
    ]


def test_no_segment_is_explained_by_the_highest_score():
    outcomes = [
        outcome(peaks={"hello": 0.2, "namaste": 0.1}),
        outcome(peaks={"hello": 0.41, "namaste": 0.3}),
    ]

    assert why_nothing(outcomes, RULES) == (
        "none; the highest score seen is 0.41 (hello), a segment starts at 0.6 and lasts 0.5 s"
    )
    assert why_nothing([outcome()], RULES) == "none; nobody was seen"


@pytest.mark.parametrize("seconds", [0.4, 3661.0])
def test_a_dry_run_lists_what_would_be_done(make_video, seconds):
    outline = make_outline([str(make_video())], chunk_bytes=10 * 320 * 240 * 3)
    bad = UnreadableVideo(
        uri="/bad.mp4", video_id="b", error_kind="VideoError", error="/bad.mp4: no video"
    )
    outline = dataclasses.replace(outline, unreadable=(bad,))

    lines = dry_run_text(outline, memory_bytes=3 * 2**30, estimated_s=seconds).splitlines()

    assert lines[0].endswith("walk.mp4: h264 320x240, 40 frames, 0:00:04")
    assert lines[1:] == [
        "unreadable: /bad.mp4: no video",
        "videos: 1, unreadable: 1",
        "chunks: 4",
        "frames: 40, 0:00:04 of video",
        "peak memory: about 3,072 MiB",
        f"time: about {'1:01:01' if seconds > 1 else '0:00:00'} on the CPUs of this machine",
        "dry run: nothing was written.",
    ]
