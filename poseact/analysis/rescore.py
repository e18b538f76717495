"""``poseact rescore``: another action model, or other rules, over the joints of a finished run."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from poseact.analysis.actions import ActionModel, find_actions
from poseact.analysis.footage import Footage, write_tables, zero_utc
from poseact.analysis.lock import hold_lock
from poseact.analysis.outcome import VideoOutcome
from poseact.analysis.report import video_lines, why_nothing
from poseact.analysis.rescore_config import RescoreConfig
from poseact.analysis.run import Run, begin_rescore, end_rescore, read_run
from poseact.analysis.tracks import TRACK_COLUMNS, Tracks
from poseact.errors import EXIT_INCOMPLETE
from poseact.models.action import ActionClassifier, load_action
from poseact.storage import AnyPath, to_path
from poseact.timeline.tables import (
    camera_of,
    find_timelines,
    read_rows,
    read_segments,
    read_videos,
)


def rescore(config: RescoreConfig) -> int:
    """Score the joints of a finished run, and write its timeline and segments anew.

    The tables become those of a fresh analysis with the same settings. What was interrupted goes
    on where it stopped; a file is replaced whole or not at all.

    Args:
        config: Settings.

    Returns:
        Exit code: 0, or ``EXIT_INCOMPLETE`` if a video of the run failed or is partial.

    Raises:
        BundleError: If the action model cannot be used.
        ConfigError: If the rules make no sense, or some results come from other settings that
            scoring anew does not change.
        InputError: If there is no finished run, its tables are of another version, or one cannot
            be read.
        OutputError: If a table cannot be written, or another run writes there.
    """
    action = load_action(config.action_model)
    out = to_path(config.out)
    read_run(out)  # or there would be nothing to lock
    with hold_lock(out):
        return _rescore(config, out, action)


def _rescore(config: RescoreConfig, out: AnyPath, action: ActionClassifier) -> int:
    started = time.perf_counter()
    videos = read_videos(out)
    rows: Any = videos.astype(object).where(videos.notna(), None).to_dict("records")
    timelines = find_timelines(out)
    # reads every file, so that what cannot be read is known before anything changes
    hash_of = {id_: _config_hash(timeline) for id_, timeline in timelines.items()}
    run = begin_rescore(
        out,
        action_model=config.action_model and config.action_model.absolute(),
        action_id=action.model_id,
        actions=action.classes,
        rules=config.rules.given(),
        run_ids=[row["run_id"] for row in rows],
    )
    outcomes = [
        rescore_video(row, timelines[row["video_id"]], run, action)
        for row in rows
        if hash_of.get(row["video_id"], run.config_hash) != run.config_hash
    ]
    end_rescore(run)
    print("\n".join([*video_lines(rows), *_lines(outcomes, len(timelines), run)]))
    print(f"time: {time.perf_counter() - started:.1f} s")
    print("A score is a prompt for a person, not a finding.")
    return 0 if all(row["status"] == "ok" for row in rows) else EXIT_INCOMPLETE


def rescore_video(
    row: Mapping[str, Any], timeline: AnyPath, run: Run, action: ActionModel
) -> VideoOutcome:
    """Write the timeline and segments of one video anew.

    Args:
        row: Of the video in the ``videos`` table, null as None.
        timeline: File of its timeline.
        run: The run as it will be.
        action: Scores what people do.

    Returns:
        What became of the video.

    Raises:
        InputError: If the timeline cannot be read.
        OutputError: If a table cannot be written.
    """
    started = time.perf_counter()
    table = read_rows(timeline, [*TRACK_COLUMNS, "time_utc"])
    findings = find_actions(Tracks.from_table(table), action, run)
    footage = Footage(
        video_id=row["video_id"],
        camera_id=camera_of(timeline),
        start_utc=row["start_utc"],
        zero_utc=zero_utc(table),
    )
    write_tables(findings, footage, run)
    return VideoOutcome(
        row=dict(row),
        num_people=findings.tracks.num_tracks,
        segments=findings.num_segments,
        peaks=findings.peaks(run.actions),
        finalize_s=time.perf_counter() - started,
    )


def _config_hash(timeline: AnyPath) -> str:
    """Return the hash that the rows of a timeline bear; empty if it has none.

    The segments bear it too, because they are written first.
    """
    hashes = read_rows(timeline, ["config_hash"])["config_hash"]
    return str(hashes[0]) if len(hashes) else ""


def _lines(outcomes: Sequence[VideoOutcome], num_videos: int, run: Run) -> list[str]:
    counts = read_segments(run.out)["action"].value_counts().sort_index()
    found = ", ".join(f"{action} {count}" for action, count in counts.items())
    none = why_nothing(outcomes, run.rules) if outcomes else "none"
    return [
        f"rescored: {len(outcomes)} of {num_videos} timelines with {run.model_id}"
        + (" (the others have these scores)" if len(outcomes) < num_videos else ""),
        f"segments: {found or none}",
        f"tables: {run.out} (timeline, segments)",
    ]
