"""``poseact verify``: is every frame that was expected in the tables, exactly once?"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poseact.analysis.lock import LOCK_FILE
from poseact.analysis.report import video_lines
from poseact.analysis.run import WORK, RecordedRun, read_run
from poseact.analysis.verify_config import VerifyConfig
from poseact.errors import EXIT_INCOMPLETE, EXIT_WRONG, InputError
from poseact.storage import AnyPath, to_path
from poseact.timeline.parquet import open_file
from poseact.timeline.schema import SEGMENTS, VIDEOS, timeline_schema
from poseact.video.find import shown

_TABLES = ("videos", "timeline", "segments")


@dataclasses.dataclass
class _Counts:
    """What the check came across."""

    frames: int = 0
    expected: int = 0
    lost: int = 0
    doubled: int = 0


def verify(config: VerifyConfig) -> int:
    """Check the tables of a run against each other and against what the videos should hold.

    Args:
        config: Settings.

    Returns:
        Exit code: 0; ``EXIT_WRONG`` if something is wrong with the tables; ``EXIT_INCOMPLETE`` if
        they are right, but the run is not finished, or a video failed or is partial.

    Raises:
        ConfigError: If ``run.json`` is damaged.
        InputError: If there is no run.
    """
    out = to_path(config.out)
    run = read_run(out)
    files = {name: _files(out / name) for name in _TABLES}
    rows, counts = list[dict[str, Any]](), _Counts()
    wrong = [*_doubled_or_strange(files)]
    for video_id, paths in sorted(files["videos"].items()):
        row = _row(paths[0], video_id, wrong)
        if row is not None:
            rows.append(row)
            wrong += _problems_of_video(row, run, files, counts)
    known = files["videos"].keys()
    for name in ("timeline", "segments"):
        for video_id in sorted(files[name].keys() - known):
            wrong.append(f"{files[name][video_id][0]}: its video has no row in videos.")
    unfinished = _unfinished(out, run)
    print(_report(rows, counts, wrong, unfinished))
    if wrong:
        return EXIT_WRONG
    is_complete = not unfinished and all(row["status"] == "ok" for row in rows)
    return 0 if is_complete else EXIT_INCOMPLETE


def _files(folder: AnyPath) -> dict[str, list[AnyPath]]:
    """Return the files of a table by video id."""
    found = defaultdict(list)
    for path in folder.rglob("[!.]*.parquet"):
        found[path.stem].append(path)
    return {video_id: sorted(paths, key=str) for video_id, paths in found.items()}


def _doubled_or_strange(files: Mapping[str, Mapping[str, Sequence[AnyPath]]]) -> Iterator[str]:
    for of_videos in files.values():
        for first, *others in of_videos.values():
            for other in others:
                yield f"{other}: the same video is in {first}, too."


def _row(path: AnyPath, video_id: str, wrong: list[str]) -> dict[str, Any] | None:
    """Return a row of ``videos``; where it cannot be read, say so."""
    try:
        with open_file(path) as file:
            table = file.read()
    except InputError as error:
        wrong.append(str(error))
        return None
    if reason := _other_columns(table.schema, VIDEOS):
        wrong.append(f"{path}: {reason}")
        return None
    rows: list[dict[str, Any]] = table.to_pylist()
    if len(rows) != 1 or rows[0]["video_id"] != video_id:
        wrong.append(f"{path}: expected the one row of video {video_id}.")
        return None
    return rows[0]


def _problems_of_video(
    row: Mapping[str, Any],
    run: RecordedRun,
    files: Mapping[str, Mapping[str, Sequence[AnyPath]]],
    counts: _Counts,
) -> Iterator[str]:
    video_id, uri = row["video_id"], shown(row["uri"])
    hashes = {run.config_hash, run.earlier_hashes.get(row["run_id"], run.config_hash)}
    if row["run_id"] != run.run_id and row["run_id"] not in run.earlier_hashes:
        yield f"{uri}: its row is of run {row['run_id']}, which run.json does not know."
    if row["codec"] is None:  # it could not be opened: there is nothing to expect
        tables = [*files["timeline"].get(video_id, ()), *files["segments"].get(video_id, ())]
        yield from (f"{path}: its video was never opened, says its row." for path in tables)
        return
    counts.expected += row["frames_expected"]
    for name in ("timeline", "segments"):
        paths = files[name].get(video_id)
        if not paths:
            yield f"{uri}: has a row in videos, and no {name} (video {video_id})."
            continue
        try:
            with open_file(paths[0]) as file:
                if name == "timeline":
                    problems = [*_problems_of_timeline(file, row, run, hashes, counts)]
                else:
                    problems = [*_problems_of_segments(file, row, hashes)]
        except InputError as error:
            yield str(error)
        else:
            yield from (f"{paths[0]}: {problem}" for problem in problems)


def _problems_of_timeline(
    file: Any,  # noqa: ANN401 - pyarrow has no types
    row: Mapping[str, Any],
    run: RecordedRun,
    hashes: set[str],
    counts: _Counts,
) -> Iterator[str]:
    if reason := _other_columns(file.schema_arrow, timeline_schema(run.actions)):
        yield reason
        return
    columns = ["frame_index", "track_id", "pts_s", "video_id", "config_hash"]
    table = file.read(columns=columns)
    yield from _other_values(table, row["video_id"], hashes)
    frame_N = table["frame_index"].to_numpy()
    track_N = table["track_id"].fill_null(-1).to_numpy()
    frames, first_rows, rows_of_frame = np.unique(frame_N, return_index=True, return_counts=True)
    pairs = np.unique(np.stack([frame_N, track_N]), axis=1).shape[1]
    has_nobody = np.isin(frames, frame_N[track_N < 0])
    doubled = len(frame_N) - pairs + int((has_nobody & (rows_of_frame > 1)).sum())
    expected = row["frames_expected"]
    beyond = int(((frames < 0) | (frames >= expected)).sum())
    counts.frames += len(frames)
    counts.doubled += doubled
    counts.lost += max(row["frames_analyzed"] - len(frames), 0)
    if doubled:
        yield f"{doubled} rows too many: a person of a frame, or a frame with nobody, is doubled."
    if len(frames) != row["frames_analyzed"]:
        yield f"holds {len(frames)} frames; its row in videos says {row['frames_analyzed']}."
    if beyond:
        yield f"{beyond} frames have an index outside of 0..{expected - 1}."
    if row["status"] == "ok" and len(frames) != expected:
        yield f"status is ok with {len(frames)} of {expected} frames."
    if np.any(np.diff(table["pts_s"].to_numpy()[first_rows]) <= 0):
        yield "presentation times do not increase with the frames."


def _problems_of_segments(
    file: Any,  # noqa: ANN401 - pyarrow has no types
    row: Mapping[str, Any],
    hashes: set[str],
) -> Iterator[str]:
    if reason := _other_columns(file.schema_arrow, SEGMENTS):
        yield reason
        return
    table = file.read()
    yield from _other_values(table, row["video_id"], hashes)
    if len(pc.unique(table["segment_id"])) != len(table):
        yield "a segment is there twice."
    ends = table["end_frame"].to_numpy()
    starts = table["start_frame"].to_numpy()
    if np.any((starts < 0) | (starts >= ends) | (ends > row["frames_expected"])):
        yield "a segment lies outside of its video."


def _other_columns(found: pa.Schema, expected: pa.Schema) -> str:
    if found.equals(expected):
        return ""
    names = {field.name for field in expected}
    odd = sorted(
        {field.name for field in found if field.name not in names or field not in list(expected)}
        | (names - set(found.names))
    )
    return f"its columns are not those of this version ({', '.join(odd) or 'their order'})."


def _other_values(table: pa.Table, video_id: str, hashes: set[str]) -> Iterator[str]:
    ids = set(pc.unique(table["video_id"]).to_pylist()) - {video_id}
    if ids:
        yield f"holds rows of other videos ({', '.join(sorted(map(str, ids)))})."
    strange = set(pc.unique(table["config_hash"]).to_pylist()) - hashes
    if strange:
        yield (
            f"was made with other settings (config_hash {', '.join(sorted(map(str, strange)))}; "
            f"run.json says {', '.join(sorted(hashes))})."
        )


def _unfinished(out: AnyPath, run: RecordedRun) -> list[str]:
    found = []
    if (out / LOCK_FILE).exists():
        found.append("a run is at work, or was killed (lock.json is there)")
    if (out / WORK).exists():
        found.append("some videos are not analysed to their end (work is there)")
    if not run.is_rescored:
        found.append("a rescore did not come to its end")
    return found


def _report(
    rows: Sequence[Mapping[str, Any]],
    counts: _Counts,
    wrong: Sequence[str],
    unfinished: Sequence[str],
) -> str:
    lines = [
        *video_lines(rows),
        (
            f"frames: {counts.frames:,} of {counts.expected:,} expected; "
            f"{counts.lost:,} of those analysed are gone, {counts.doubled:,} are there twice"
        ),
        *(f"unfinished: {what}. Give the same command again." for what in unfinished),
        *(f"wrong: {problem}" for problem in wrong),
    ]
    if wrong:
        lines.append(
            "To mend a video, remove its file in videos and give the same `poseact analyze` again."
        )
    else:
        lines.append("verified: every frame that was analysed is there exactly once.")
    return "\n".join(lines)
