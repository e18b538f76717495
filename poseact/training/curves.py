"""Loss and accuracy by epoch, as a table and as a picture beside the bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from poseact.errors import OutputError

CSV = "curves.csv"
PNG = "curves.png"


def write_curves(history: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Write the figures of all epochs.

    Args:
        history: Figures of each epoch by name: ``epoch``, ``loss``, ``epoch_s``, and where
            progress was measured ``pck_wrist``, ``ap50`` and so on, in percent.
        folder: Where ``curves.csv`` and ``curves.png`` go.

    Raises:
        OutputError: If they cannot be written.
    """
    table = pd.DataFrame(history).set_index("epoch")
    try:
        table.to_csv(folder / CSV, float_format="%.4f")
        draw_curves(history).savefig(folder / PNG, metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the curves: {error.strerror}.") from error


def draw_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the loss, and beside it the accuracy of the epochs that measured it."""
    table = pd.DataFrame(history).set_index("epoch")
    figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(table.index, table["loss"], color="black")
    left.set(xlabel="epoch", ylabel="training loss")
    measured = table.drop(columns=["loss", "epoch_s"], errors="ignore").dropna()
    for name in measured:
        right.plot(measured.index, measured[name], label=str(name))
    right.set(xlabel="epoch", ylabel="on those held out, %", ylim=(0, 100))
    if len(measured.columns):
        right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure
