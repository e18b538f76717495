"""The band: one row per person, one colour per action, over time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poseact.foreign import printable

OTHER: Final = "other"
OTHER_COLOR: Final = "#c8c8c8"

# Okabe and Ito's palette: told apart by colour-blind people too. Yellow last: faint on white.
PALETTE: Final = ("#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442")

_GAP_STEPS: Final = 2.5
"""Frames of one person further apart than this many usual steps are a gap."""

_BAND: Final = 0.62
"""Height of a band over the distance of two rows."""

_DAY_S: Final = 86400.0

_Run: TypeAlias = tuple[str, float, float]


def action_colors(actions: Sequence[str]) -> dict[str, str]:
    """Give each action a colour: by alphabet, so that the same classes look the same everywhere."""
    named = sorted(set(actions) - {OTHER})
    colors = {action: PALETTE[i % len(PALETTE)] for i, action in enumerate(named)}
    return {**colors, OTHER: OTHER_COLOR}


# A `$` in a name is no formula.
@rc_context({"text.parse_math": False})
def draw_band(timeline: pd.DataFrame, segments: pd.DataFrame, target: Path | BinaryIO) -> Figure:
    """Draw who did what and when.

    Args:
        timeline: Rows of the ``timeline`` table; each person (camera, video, track) makes a row of
            the picture, cameras together. Nothing is drawn where nobody was.
        segments: Rows of the ``segments`` table; each is framed and named on its person's band.
        target: File, or open binary file, for the PNG.

    Returns:
        The figure that was written. Time is UTC where every row has it, else presentation time.
    """
    people = timeline[timeline["track_id"].notna()]
    is_utc = bool(len(people)) and bool(people["time_utc"].notna().all())
    colors = action_colors([*_actions(timeline), *people["action"].unique()])
    rows = list(people.groupby(["camera_id", "video_id", "track_id"], sort=True, observed=True))
    figure = Figure(figsize=(11, 1.5 + 0.45 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots()
    for y, ((_, video_id, track_id), person) in enumerate(rows):
        person = person.sort_values("frame_index")  # noqa: PLW2901 - the same rows, in order
        for action, start, end in _runs(person, is_utc=is_utc):
            axes.broken_barh([(start, end - start)], (y - _BAND / 2, _BAND), color=colors[action])
        mine = segments[(segments["video_id"] == video_id) & (segments["track_id"] == track_id)]
        _frame_segments(axes, mine, y, is_utc=is_utc)
    axes.set_yticks(
        range(len(rows)), [f"{printable(str(key[0]))}, person {key[2]}" for key, _ in rows]
    )
    axes.set_ylim(max(1, len(rows)) - 0.4, -0.6)
    _label_time(axes, people, is_utc=is_utc)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Actions by person. A score is a prompt for a person, not a finding.", size=10)
    shown = [Patch(color=color, label=printable(action)) for action, color in colors.items()]
    axes.legend(handles=shown, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    if not rows:
        axes.text(0.5, 0.5, "nobody was seen", ha="center", transform=axes.transAxes)
    figure.savefig(target, format="png", dpi=110)
    return figure


def _actions(timeline: pd.DataFrame) -> list[str]:
    return list(timeline.attrs.get("actions", []))


def _runs(person: pd.DataFrame, *, is_utc: bool) -> Iterator[_Run]:
    """Yield the stretches of one action without a gap, half-open."""
    times = _axis_times(person, "time_utc" if is_utc else "pts_s")
    actions = person["action"].to_numpy()
    steps = np.diff(times)
    step = float(np.median(steps)) if len(steps) else _seconds(1 / 25, is_utc=is_utc)
    is_gap = steps > _GAP_STEPS * step
    starts = np.flatnonzero(np.r_[True, (actions[1:] != actions[:-1]) | is_gap])
    for first, after in zip(starts, np.r_[starts[1:], len(times)], strict=True):
        is_last = after == len(times) or is_gap[after - 1]
        end = times[after - 1] + step if is_last else times[after]
        yield str(actions[first]), float(times[first]), float(end)


def _frame_segments(axes: Axes, segments: pd.DataFrame, y: int, *, is_utc: bool) -> None:
    names = ("start_utc", "end_utc") if is_utc else ("start_s", "end_s")
    starts, ends = (_axis_times(segments, name) for name in names)
    for start, end, (_, segment) in zip(starts, ends, segments.iterrows(), strict=True):
        axes.broken_barh(
            [(start, end - start)],
            (y - _BAND / 2, _BAND),
            facecolor="none",
            edgecolor="black",
            linewidth=1.4,
        )
        hand = "" if pd.isna(segment["hand"]) else f" {segment['hand']}"
        text = printable(f"{segment['action']}{hand} {segment['peak_score']:.2f}")
        name = axes.text((start + end) / 2, y, text, ha="center", va="center", size=8)
        name.set(clip_on=True, bbox={"facecolor": "white", "alpha": 0.75, "pad": 1.5, "lw": 0})


def _axis_times(rows: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Return times as the axis counts them: seconds, or days since 1970 for UTC."""
    if not column.endswith("_utc"):
        return rows[column].to_numpy(np.float64)
    since_1970 = rows[column] - pd.Timestamp(0, tz="UTC")
    return np.asarray(since_1970.dt.total_seconds() / _DAY_S, np.float64)


def _seconds(seconds: float, *, is_utc: bool) -> float:
    return seconds / _DAY_S if is_utc else seconds


def _label_time(axes: Axes, people: pd.DataFrame, *, is_utc: bool) -> None:
    if not is_utc:
        axes.set_xlabel("presentation time, seconds")
        return
    axes.xaxis_date("UTC")
    days = people["time_utc"].dt.strftime("%Y-%m-%d")
    axes.set_xlabel(f"UTC, {' to '.join(dict.fromkeys([days.min(), days.max()]))}")
