"""`poseact evaluate-pose`: measure a pose bundle and print the table."""

import json
from pathlib import Path
from typing import Any

from poseact.errors import OutputError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.protocols import evaluate_protocol, guess_protocol
from poseact.models.runtime import load_pose

_GROUPS = ("wrist", "elbow", "shoulder", "head", "mean")


def evaluate_pose(config: EvaluatePoseConfig) -> int:
    """Measure a bundle, print the table, write the JSON; return the exit code.

    Raises:
        BundleError: If the bundle cannot be used.
        InputError: If the data cannot be read.
        OutputError: If the JSON cannot be written.
    """
    estimator = load_pose(config.model)
    protocol = config.protocol or guess_protocol(config.data)
    report = {
        "model_id": estimator.model_id,
        **evaluate_protocol(estimator, config.data, protocol, config.split),
    }
    print(format_report(report))
    if config.json is not None:
        write_json(config.json, report)
    return 0


def format_report(report: dict[str, Any]) -> str:
    """Lay out the figures of one protocol as text."""
    low, high = report["pck_0.2_mean_interval"]
    lines = [
        f"protocol  {report['protocol']}",
        f"model     {report['model_id']}",
        f"people    {report['num_people']}",
        "",
        _row("PCK, %", _GROUPS),
        *(_row(f"@{alpha}", _values(pck)) for alpha, pck in report["pck"].items()),
    ]
    for key, label in (
        ("observer_centric_pck", "@0.2 observer-centric"),
        ("jittered_crops_pck", "@0.2 jittered crops"),
    ):
        if key in report:
            lines.append(_row(label, _values(report[key]["0.2"])))
    lines += [f"@0.2 mean: 95 % interval {low:.1f} .. {high:.1f}; AUC 0..0.2 {report['auc']:.1f}"]
    lines += [_row(f"@0.2 {stem}", _values(pck)) for stem, pck in report.get("videos", {}).items()]
    if "mean_pose" in report:
        lines += ["", "in the 224-pixel crops        mean px  median px  MSE px^2      R2"]
        lines += [_coordinate_row("this model", report)]
        lines += [_coordinate_row("mean pose (the floor)", report["mean_pose"])]
    return "\n".join(lines)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write figures to a file; OutputError if that is not possible."""
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error


def _values(pck: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{pck[group]:.1f}" for group in _GROUPS)


def _row(label: str, cells: tuple[str, ...]) -> str:
    return f"{label:<26}" + "".join(f"{cell:>10}" for cell in cells)


def _coordinate_row(label: str, errors: dict[str, float]) -> str:
    return (
        f"{label:<26}{errors['mean_error_px']:>11.1f}{errors['median_error_px']:>11.1f}"
        f"{errors['mse_px2']:>10.1f}{errors['r2']:>8.3f}"
    )
