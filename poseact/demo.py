"""``poseact demo``: two recordings made on the spot, analysed, and compared with the truth."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseact.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

    from poseact.datasets.rendered.demo_scenes import Acted


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Render two recordings, analyse them, and show what was found beside what was acted."""

    out: Path = Path("poseact-demo")
    """Folder for the recordings, the results and timeline.png."""


def run_demo(config: DemoConfig) -> int:
    """Render, analyse, compare; what an earlier demo finished is not done again.

    Args:
        config: Settings.

    Returns:
        Exit code of the analysis.

    Raises:
        OutputError: If ``out`` cannot be written, or holds the recordings of another demo.
    """
    from poseact.analysis.config import AnalyzeConfig
    from poseact.analysis.job import analyze
    from poseact.datasets.rendered.demo_scenes import demo_truth
    from poseact.review.band import draw_band
    from poseact.timeline.tables import read_segments, read_timeline

    truth = list(demo_truth())
    videos = _render_missing(config.out / "recordings", truth)
    run, picture = config.out / "run", config.out / "timeline.png"
    exit_code = analyze(AnalyzeConfig(videos=tuple(map(str, videos)), out=str(run)))
    segments = read_segments(run)
    draw_band(read_timeline(run), segments, picture)
    print()
    print(compare(truth, segments))
    print()
    print(f"recordings  {videos[0].parent}")
    print(f"tables      {run}  (poseact.read_segments({str(run)!r}) in Python)")
    print(f"picture     {picture}")
    print(f"review      open notebooks/review.ipynb with POSEACT_OUT={run.resolve()}")
    return exit_code


def _render_missing(folder: Path, truth: Sequence["Acted"]) -> list[Path]:
    from poseact.datasets.rendered.demo_scenes import RECORDINGS

    videos = [folder / f"{name}.mp4" for name in RECORDINGS]
    _claim(folder, truth)
    for video in videos:
        if video.exists():
            print(f"{video}: kept from an earlier demo")
        else:
            _render(video)
    return videos


def _claim(folder: Path, truth: Sequence["Acted"]) -> None:
    """Write what is acted beside the recordings, or check that it is what they already hold."""
    note, text = folder / "truth.json", json.dumps([dataclasses.asdict(a) for a in truth], indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if note.exists() and note.read_text(encoding="utf-8") != text:
            raise OutputError(
                f"{folder}: holds the recordings of another version of the demo. "
                "Delete the folder above it, or choose another --out."
            )
        note.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror}). Choose another --out."
        ) from error


def _render(video: Path) -> None:
    from poseact.datasets.rendered import render_recording
    from poseact.datasets.rendered.demo_scenes import DURATION_S, FPS, demo_scene
    from poseact.video.encode import write_video

    print(f"{video}: rendering {DURATION_S:g} s")
    scene = demo_scene(video.stem)
    frames = render_recording(scene, duration_s=DURATION_S, fps=FPS)
    write_video(video, (rgb_HWC for _, rgb_HWC, _ in frames), fps=FPS)


def compare(truth: Sequence["Acted"], segments: "pd.DataFrame") -> str:
    """Lay the segments that were found beside what was acted.

    Args:
        truth: What was acted.
        segments: Rows of the ``segments`` table.

    Returns:
        A table, one line per action acted and one per segment that nobody acted, and a verdict.
        A segment counts as found if camera and action agree and the times overlap.
    """
    left = segments.sort_values(["camera_id", "start_s"])
    lines = [_line("camera", "acted", "hand", "from-to s", "found from-to s", "hand", "score")]
    num_found = 0
    for acted in truth:
        is_it = (
            (left["camera_id"] == acted.camera_id)
            & (left["action"] == acted.action)
            & (left["start_s"] < acted.end_s)
            & (left["end_s"] > acted.start_s)
        )
        num_found += bool(is_it.any())
        known = (acted.camera_id, acted.action, acted.hand or "", _span(acted))
        found = [_found(row) for _, row in left[is_it].iterrows()] or [("missed", "", "")]
        lines += [_line(*known, *cells) for cells in found]
        left = left[~is_it]
    for _, row in left.iterrows():
        span, hand, score = _found(row)
        lines.append(_line(row["camera_id"], "-", "", "", f"{row['action']} {span}", hand, score))
    lines.append(
        f"{num_found} of {len(truth)} actions found; {len(left)} found that nobody acted. "
        "A score is a prompt for a person, not a finding."
    )
    return "\n".join(lines)


def _found(segment: "pd.Series") -> tuple[str, str, str]:
    hand = segment["hand"]
    return _span(segment), hand if isinstance(hand, str) else "", f"{segment['peak_score']:.2f}"


def _span(event: "Acted | pd.Series") -> str:
    return f"{event.start_s:.1f}-{event.end_s:.1f}"


def _line(*cells: str) -> str:
    widths = (8, 9, 6, 11, 18, 6, 5)
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
