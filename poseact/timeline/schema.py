"""Columns of the four tables, the only place that spells them out.

Every file carries ``schema_version`` in its metadata, a timeline also the names of its ``scores``
columns (``actions``). ``camera_id`` and ``date`` are not columns of the files but folders.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from poseact.skeleton import NUM_JOINTS

SCHEMA_VERSION: Final = "1"
"""Goes up when a column is renamed, retyped or changes meaning; a new column does not count."""

_TIME_UTC: Final = pa.timestamp("us", tz="UTC")
_METADATA: Final = {"schema_version": SCHEMA_VERSION}


def _schema(
    columns: Mapping[str, pa.DataType], nullable: set[str], metadata: Mapping[str, str] = _METADATA
) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=name in nullable) for name, kind in columns.items()]
    return pa.schema(fields, metadata=dict(metadata))


def timeline_schema(actions: Sequence[str]) -> pa.Schema:
    """Describe a timeline: one row per frame and person.

    A frame with nobody has one row with a null ``track_id``, NaN in every float of its box,
    joints and scores, and an empty ``action``. ``score`` is that of ``action``. ``reason`` tells
    why a row names no action (see ``poseact.timeline.decide``); null where the action stands.

    Args:
        actions: Names of the ``scores`` columns, in order.

    Returns:
        Schema with ``schema_version`` and ``actions`` (a JSON list) in its metadata.
    """
    return _schema(
        {
            "video_id": pa.string(),
            "frame_index": pa.int64(),
            "pts_s": pa.float64(),
            "time_utc": _TIME_UTC,
            "track_id": pa.int32(),
            "bbox_xyxy_px": pa.list_(pa.float32(), 4),
            "detection_score": pa.float32(),
            "joints": pa.list_(pa.float32(), 3 * NUM_JOINTS),
            "action": pa.string(),
            "score": pa.float32(),
            "scores": pa.list_(pa.float32(), len(actions)),
            "config_hash": pa.string(),
            "model_id": pa.string(),
            "reason": pa.string(),
        },
        nullable={"time_utc", "track_id", "reason"},
        metadata={**_METADATA, "actions": json.dumps(list(actions))},
    )


def actions_of(schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of the ``scores`` columns from a timeline's metadata.

    Raises:
        ValueError: If it has none.
    """
    try:
        actions = json.loads((schema.metadata or {})[b"actions"])
    except (KeyError, ValueError, RecursionError):
        actions = None
    if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
        raise ValueError("its metadata has no list of actions")
    return tuple(actions)


SEGMENTS: Final = _schema(
    {
        "segment_id": pa.string(),
        "video_id": pa.string(),
        "track_id": pa.int32(),
        "action": pa.string(),
        "hand": pa.string(),
        "start_s": pa.float64(),
        "end_s": pa.float64(),
        "start_utc": _TIME_UTC,
        "end_utc": _TIME_UTC,
        "start_frame": pa.int64(),
        "end_frame": pa.int64(),
        "peak_score": pa.float32(),
        "mean_score": pa.float32(),
        "peak_s": pa.float64(),
        "severity": pa.string(),
        "rule": pa.string(),
        "config_hash": pa.string(),
        "model_id": pa.string(),
    },
    nullable={"hand", "start_utc", "end_utc"},
)
"""One row per segment. ``hand`` is left, right, both or null; ``severity`` alert or detection;
``end_s``, ``end_utc`` and ``end_frame`` are the first moment after the segment."""

VIDEOS: Final = _schema(
    {
        "video_id": pa.string(),
        "uri": pa.string(),
        "start_utc": _TIME_UTC,
        "duration_s": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "fps_nominal": pa.float64(),
        "is_vfr": pa.bool_(),
        "codec": pa.string(),
        "frames_expected": pa.int64(),
        "frames_analyzed": pa.int64(),
        "boxes_too_small": pa.int64(),
        "status": pa.string(),
        "error_kind": pa.string(),
        "error": pa.string(),
        "last_good_pts_s": pa.float64(),
        "decode_s": pa.float64(),
        "watch_s": pa.float64(),
        "run_id": pa.string(),
    },
    nullable={
        "start_utc",
        "duration_s",
        "width",
        "height",
        "fps_nominal",
        "is_vfr",
        "codec",
        "frames_expected",
        "error_kind",
        "error",
        "last_good_pts_s",
    },
)
"""One row per input file, failures included: what a failed probe could not tell is null.
``status`` is ok, partial or failed."""

VERDICTS: Final = _schema(
    {
        "segment_id": pa.string(),
        "verdict": pa.string(),
        "note": pa.string(),
        "reviewer": pa.string(),
        "decided_at_utc": _TIME_UTC,
        "tool_version": pa.string(),
        "supersedes": pa.string(),
    },
    nullable={"note", "supersedes"},
)
"""One row per decision of a reviewer (confirmed, dismissed or unsure); the latest wins."""
