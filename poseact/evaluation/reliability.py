"""Draws how often scores come true."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from poseact.errors import OutputError
from poseact.evaluation.calibration import Bin


def draw_reliability(bins: Mapping[str, Sequence[Bin]]) -> Figure:
    """Draw the share of right answers over their score; on the diagonal, scores come true.

    Args:
        bins: What ``reliability`` returns, by the title of the answers.
    """
    figure = Figure(figsize=(4.5, 4.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for title, of_title in bins.items():
        scores, shares = [one.score for one in of_title], [one.right for one in of_title]
        axes.plot(scores, shares, marker="o", markersize=4, label=title)
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0.3, 1.01), ylim=(0.3, 1.01))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def write_reliability(bins: Mapping[str, Sequence[Bin]], path: Path) -> None:
    """Write the drawing of ``draw_reliability`` as PNG; OutputError if that is not possible."""
    try:
        draw_reliability(bins).savefig(path, format="png", metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
