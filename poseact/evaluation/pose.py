"""`poseact evaluate-pose`: measure a pose bundle and print the table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import poseact
from poseact.datasets.folds import NUM_FOLDS
from poseact.errors import ConfigError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.cost import bundle_cost, cpu_ms
from poseact.evaluation.find import CropFinder, Finder, FoldFinder
from poseact.evaluation.pck import BOOTSTRAP_SEED
from poseact.evaluation.peer import load_peer
from poseact.evaluation.protocols import JITTER_SEED, guess_protocol, measure, select
from poseact.evaluation.report import source_commit, write_json
from poseact.evaluation.subjects import Subjects
from poseact.evaluation.worst import write_worst
from poseact.models.bundle import MANIFEST, read_bundle
from poseact.models.runtime import load_pose

_GROUPS = ("wrist", "elbow", "shoulder", "head", "mean")

_LABEL_WIDTH = 36
"""Room for the longest film of FLIC."""


def evaluate_pose(config: EvaluatePoseConfig) -> int:
    """Measure a bundle, print the table, write the files asked for; return the exit code.

    Raises:
        BundleError: If a bundle cannot be used.
        ConfigError: If settings do not fit the folder or the bundles.
        InputError: If the data or the peer cannot be read.
        OutputError: If a file cannot be written.
    """
    peer = None if config.peer is None else load_peer(config.peer)
    finder: Finder
    if config.protocol == "disjoint":
        finder = finder_of_folds(config.bundle)
        subjects = select(config.data, "disjoint", config.split, finder.finders)
    else:
        finder = CropFinder(load_pose(next(iter(config.bundle), None)))
        subjects = select(config.data, config.protocol or guess_protocol(config.data), config.split)
    samples = measure(finder, subjects)
    report = {
        "model_id": finder.model_id,
        "package_version": poseact.__version__,
        "commit": source_commit(),
        "seeds": {"jittered_crops": JITTER_SEED, "bootstrap": BOOTSTRAP_SEED},
        "cost": bundle_cost(next(iter(config.bundle), None)),
        **samples.report(),
    }
    if peer is not None:
        report["peer"] = _measure_peer(peer, subjects)
    print(format_report(report))
    if config.json is not None:
        write_json(config.json, report)
    if config.worst is not None and config.out is not None:
        write_worst(config.out, samples, config.worst)
    return 0


def finder_of_folds(bundles: Sequence[Path]) -> FoldFinder:
    """Load the bundles of cross-validation.

    Args:
        bundles: Each trained without one fold, which its manifest names.

    Raises:
        BundleError: If a bundle cannot be used.
        ConfigError: If a bundle names no fold, or two the same.
    """
    finders: dict[int, CropFinder] = {}
    for path in bundles:
        fold = read_bundle(path, "pose").manifest.get("fold")
        if not isinstance(fold, int) or fold not in range(NUM_FOLDS):
            raise ConfigError(
                f"{path / MANIFEST}: 'fold' is {fold!r}, expected 0 to {NUM_FOLDS - 1}. "
                "Train the bundle by `train-pose --fold K`."
            )
        if fold in finders:
            raise ConfigError(
                f"{path}: another bundle is of fold {fold} too. Train one for each fold by "
                "`train-pose --fold K`."
            )
        finders[fold] = CropFinder(load_pose(path))
    return FoldFinder(dict(sorted(finders.items())))


def format_report(report: dict[str, Any]) -> str:
    """Lay out the figures of one protocol as text."""
    peer = report.get("peer")
    return "\n".join(
        [
            *_heading(report),
            "",
            _row("PCK, %", _GROUPS),
            *_pck_rows(report),
            *([] if peer is None else _peer_rows(peer)),
            *(_row(f"@0.2 {name}", _values(pck)) for name, pck in report["groups"].items()),
            f"@0.2 mean: {_interval(report)}; AUC 0..0.2 {report['auc']:.1f}",
            *([] if peer is None else [f"@0.2 mean, peer: {_interval(peer)}"]),
            f"left and right swapped: {report['swap_rate']:.1f} % of people",
            f"confidence against a hit @0.2: {_calibration(report['confidence'])}",
            "",
            _row("in 224-pixel crops", ("mean px", "median px", "MSE px^2", "R2")),
            _coordinate_row("this model", report),
            *([] if peer is None else [_coordinate_row("peer", peer)]),
            _coordinate_row("mean pose (the floor)", report["mean_pose"]),
        ]
    )


def _measure_peer(peer: CropFinder, subjects: Subjects) -> dict[str, Any]:
    return {
        "model_id": peer.model_id,
        "cost": {"cpu_ms_per_crop": cpu_ms(peer.model)},
        **measure(peer, subjects).report(),
    }


def _heading(report: dict[str, Any]) -> list[str]:
    cost, kind = report["cost"], report["group_kind"]
    seeds = ", ".join(f"{name} {seed}" for name, seed in report["seeds"].items())
    size = f"{cost['parameters'] / 1e6:.2f} M parameters, {cost['gflop_per_crop']:.2f} GFLOP a crop"
    lines = [
        f"protocol  {report['protocol']}",
        f"model     {report['model_id']}",
        f"code      poseact {report['package_version']}, commit {report['commit'] or 'unknown'}",
        f"data      {report['num_people']} people in {report['num_groups']} {kind}s, hash "
        + report["data_hash"],
        f"seeds     {seeds}".replace("_", " "),
        f"cost      {size}",
        f"          {_milliseconds(cost['cpu_ms_per_crop'])}; eager torch "
        + _by_batch(cost["eager_torch_ms_per_crop"]),
    ]
    if "peer" in report:
        peer = report["peer"]
        lines.append(
            f"peer      {peer['model_id']}, {_milliseconds(peer['cost']['cpu_ms_per_crop'])}"
        )
    return lines


def _milliseconds(by_batch: dict[str, float]) -> str:
    return f"CPU ms a crop, one thread: {_by_batch(by_batch)}"


def _by_batch(milliseconds: dict[str, float]) -> str:
    return ", ".join(f"{ms:.1f} (batch {batch})" for batch, ms in milliseconds.items())


def _pck_rows(report: dict[str, Any]) -> list[str]:
    rows = [_row(f"@{alpha}", _values(pck)) for alpha, pck in report["pck"].items()]
    rows.append(_row("@0.2 observer-centric", _values(report["observer_centric_pck"]["0.2"])))
    if "jittered_crops_pck" in report:
        rows.append(_row("@0.2 jittered crops", _values(report["jittered_crops_pck"]["0.2"])))
    return [*rows, _row("@0.2 mean pose (the floor)", _values(report["mean_pose"]["pck"]["0.2"]))]


def _peer_rows(peer: dict[str, Any]) -> list[str]:
    rows = [_row("@0.2 peer", _values(peer["pck"]["0.2"]))]
    if "jittered_crops_pck" in peer:
        jittered = peer["jittered_crops_pck"]["0.2"]
        rows.append(_row("@0.2 peer, jittered crops", _values(jittered)))
    return rows


def _interval(report: dict[str, Any]) -> str:
    low, high = report["pck_0.2_mean_interval"]
    return f"95 % interval {low:.1f} .. {high:.1f}"


def _calibration(confidence: dict[str, float | None]) -> str:
    auroc, ece = confidence["auroc"], confidence["ece"]
    ranking = "all alike" if auroc is None else f"AUROC {auroc:.3f}"
    return f"{ranking}, ECE {ece:.3f}"


def _values(pck: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{pck[group]:.1f}" for group in _GROUPS)


def _row(label: str, cells: tuple[str, ...]) -> str:
    return f"{label:<{_LABEL_WIDTH}}" + "".join(f"{cell:>10}" for cell in cells)


def _coordinate_row(label: str, errors: dict[str, float]) -> str:
    names = ("mean_error_px", "median_error_px", "mse_px2")
    return _row(label, (*(f"{errors[name]:.1f}" for name in names), f"{errors['r2']:.3f}"))
