"""What the analysis tells its user: progress, the summary at the end, and what a dry run found."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

from tqdm import tqdm

from poseact.analysis.ledger import Receipt
from poseact.analysis.outcome import VideoOutcome
from poseact.analysis.plan import Outline, Planned
from poseact.analysis.run import Run
from poseact.timeline.segments import SegmentRules
from poseact.video.find import shown

LOG_EVERY_S = 10.0
"""Time between two lines of progress where there is no terminal."""

MIB = 1024**2


class Spent:
    """What the chunks of a run took so far; a run has more chunks than a driver should keep."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.num_frames = 0
        self.stage_s = dict.fromkeys(("decode", "detect", "pose", "commit"), 0.0)
        """Seconds spent in each stage."""

    def add(self, receipt: Receipt) -> None:
        """Count a chunk."""
        self.num_frames += receipt.num_frames
        for stage in self.stage_s:
            self.stage_s[stage] += getattr(receipt, f"{stage}_s")


class Progress:
    """Shows how far the job is: a bar in a terminal, else a line every ten seconds."""

    def __init__(
        self,
        *,
        num_frames: int,
        video_s: float,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at nothing done.

        Args:
            num_frames: Frames to analyse.
            video_s: Seconds of video that they cover.
            stream: Where to write; standard error if not given.
            clock: Tells the time, seconds.
        """
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._num_frames = num_frames
        self._video_s = video_s
        self._done = 0
        self._started = self._last_line = clock()
        self._bar = (
            tqdm(total=num_frames, unit="frame", file=self._stream)
            if self._stream.isatty()
            else None
        )

    @staticmethod
    def of(videos: Sequence[Planned]) -> "Progress":
        """Start the progress of the chunks still to do, on standard error."""
        num_frames = sum(video.num_pending_frames for video in videos)
        all_frames = sum(video.num_frames for video in videos)
        all_s = sum(video.duration_s for video in videos)
        return Progress(num_frames=num_frames, video_s=all_s * num_frames / max(all_frames, 1))

    def advance(self, num_frames: int) -> None:
        """Count frames as done, and say so when it is time."""
        self._done += num_frames
        now = self._clock()
        if self._bar is not None:
            self._bar.update(num_frames)
            self._bar.set_postfix_str(f"{self._speed(now):.1f} x real time")
        elif now - self._last_line >= LOG_EVERY_S:
            self._last_line = now
            line = progress_line(self._done, self._num_frames, self._speed(now), self._eta_s(now))
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()

    def _speed(self, now: float) -> float:
        share = self._done / max(self._num_frames, 1)
        return share * self._video_s / max(now - self._started, 1e-9)

    def _eta_s(self, now: float) -> float:
        left = max(self._num_frames - self._done, 0)
        return (now - self._started) * left / max(self._done, 1)


def progress_line(done: int, total: int, speed: float, eta_s: float) -> str:
    """Say how far the job is.

    Args:
        done: Frames analysed.
        total: Frames to analyse.
        speed: Seconds of video per second.
        eta_s: Seconds still to go.

    Returns:
        One line.
    """
    share = done / max(total, 1)
    return (
        f"{done:,} / {total:,} frames ({share:.0%}), {speed:.1f} x real time, ETA {_clock(eta_s)}"
    )


def summary(  # noqa: PLR0913 - all that a run has to tell
    spent: Spent,
    outcomes: Sequence[VideoOutcome],
    rows: Sequence[Mapping[str, Any]],
    run: Run,
    *,
    startup_s: float,
    elapsed_s: float,
) -> str:
    """Sum up a run.

    Args:
        spent: On the chunks analysed now.
        outcomes: Of the videos finished now.
        rows: Of the ``videos`` table, for all that were asked for.
        run: The run.
        startup_s: Seconds until the first chunk could start: models, planning, Ray.
        elapsed_s: Seconds from then to the last table.

    Returns:
        Lines for the end of the run.
    """
    frames = spent.num_frames
    # of videos taken up again, a part was analysed before
    share = frames / max(sum(outcome.row["frames_analyzed"] for outcome in outcomes), 1)
    video_s = share * sum(outcome.row["duration_s"] for outcome in outcomes)
    segments = _total(outcome.segments for outcome in outcomes)
    found = ", ".join(f"{name} {number}" for name, number in sorted(segments.items()))
    rates = f"{frames / elapsed_s:.1f} frames/s, {video_s / elapsed_s:.1f} x real time"
    lines = [
        *video_lines(rows),
        f"frames: {frames:,} in {elapsed_s:.1f} s, {rates} (start-up took {startup_s:.1f} s)",
        f"time: {_time_by_stage(spent, outcomes)}",
        f"people: {sum(outcome.num_people for outcome in outcomes)}",
        f"segments: {found or why_nothing(outcomes, run.rules)}",
        f"tables: {run.out} (timeline, segments, videos)",
        "A score is a prompt for a person, not a finding.",
    ]
    return "\n".join(lines)


def video_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Count videos by status, and list those that are not ok with the reason.

    Args:
        rows: Of the ``videos`` table.

    Returns:
        Lines.
    """
    count = Counter(row["status"] for row in rows)
    head = ", ".join(f"{count[status]} {status}" for status in ("ok", "partial", "failed"))
    reasons = [f"  {row['status']}: {row['error']}" for row in rows if row["status"] != "ok"]
    return [f"videos: {head}", *reasons]


def why_nothing(outcomes: Sequence[VideoOutcome], rules: SegmentRules) -> str:
    """Say how near the scores came to a segment, for a run that found none."""
    peaks = [(score, name) for outcome in outcomes for name, score in outcome.peaks.items()]
    if not peaks:
        return "none; nobody was seen"
    score, name = max(peaks)
    return (
        f"none; the highest score seen is {score:.2f} ({name}), a segment starts at {rules.on:g} "
        f"and lasts {rules.min_duration_s:g} s"
    )


def dry_run_text(outline: Outline, *, memory_bytes: int, estimated_s: float) -> str:
    """Say what a run would do.

    Args:
        outline: What was found.
        memory_bytes: Estimated peak.
        estimated_s: Estimated time on the CPUs of this machine.

    Returns:
        Lines to print.
    """
    infos = outline.infos
    frames = sum(info.frames_expected for info in infos)
    video_s = sum(info.duration_s for info in infos)
    return "\n".join(
        [
            *(
                f"{shown(info.uri)}: {info.codec} {info.width}x{info.height}, "
                f"{info.frames_expected:,} frames, {_clock(info.duration_s)}"
                for info in infos
            ),
            *(f"unreadable: {failure.error}" for failure in outline.unreadable),
            f"videos: {len(infos)}, unreadable: {len(outline.unreadable)}",
            f"chunks: {outline.num_chunks:,}",
            f"frames: {frames:,}, {_clock(video_s)} of video",
            f"peak memory: about {memory_bytes / MIB:,.0f} MiB",
            f"time: about {_clock(estimated_s)} on the CPUs of this machine",
            "dry run: nothing was written.",
        ]
    )


def _total(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def _time_by_stage(spent: Spent, outcomes: Sequence[VideoOutcome]) -> str:
    finalize_s = sum(outcome.finalize_s for outcome in outcomes)
    stage_s = {**spent.stage_s, "finalize": finalize_s}
    all_s = max(sum(stage_s.values()), 1e-9)
    return ", ".join(f"{name} {seconds / all_s:.0%}" for name, seconds in stage_s.items())


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
