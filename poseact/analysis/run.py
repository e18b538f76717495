"""``run.json``: which settings and models the results in a folder come from."""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from poseact import __version__
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.ledger import Work, write_text
from poseact.errors import ConfigError
from poseact.timeline.segments import SegmentRules

RUN_FILE = "run.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run: where its results go, and what all their rows have in common."""

    out: Path
    """Folder of the results, absolute."""

    run_id: str

    config_hash: str
    """Of everything that changes results, models included."""

    model_id: str
    """Person detector if any, pose and action model, joined by ``+``."""

    actions: tuple[str, ...]
    """Names of the score columns."""

    rules: SegmentRules

    min_detection_score: float | None = None
    """Score that a person must reach in one frame at least; None where nobody was looked for."""

    @property
    def work(self) -> Work:
        """The folder of what is planned, tried and done."""
        return Work(self.out / "work")


def open_run(
    config: AnalyzeConfig,
    *,
    detector_id: str | None,
    pose_id: str,
    action_id: str,
    actions: tuple[str, ...],
) -> Run:
    """Start a run in the folder of the results, or take up the one that it holds.

    Args:
        config: Settings, paths absolute.
        detector_id: Person detector; None where there is none.
        pose_id: Pose model.
        action_id: Action model.
        actions: Its classes.

    Returns:
        The run.

    Raises:
        ConfigError: If the folder holds results of other settings or models.
        OutputError: If the folder cannot be written.
    """
    out = config.out
    decisive = _decisive(config, detector_id, pose_id, action_id)
    recorded = _recorded(out / RUN_FILE)
    if recorded:
        _require_equal(out, recorded["decisive"], decisive)
    else:
        recorded = _new_record(config, decisive, actions)
    Work(out / "work").prepare()
    write_text(out / RUN_FILE, json.dumps(recorded, indent=2, default=str) + "\n")
    return Run(
        out=out,
        run_id=recorded["run_id"],
        config_hash=_hash(decisive),
        model_id="+".join(filter(None, [detector_id, pose_id, action_id])),
        actions=actions,
        rules=config.rules,
        min_detection_score=config.min_detection_score,
    )


def _decisive(
    config: AnalyzeConfig, detector_id: str | None, pose_id: str, action_id: str
) -> dict[str, Any]:
    """Return every setting on which the rows depend, by its flag."""
    rules = dataclasses.asdict(config.rules)
    return {
        "detector": detector_id or "none",
        "detect-every-s": config.detect_every_s,
        "min-detection-score": config.min_detection_score,
        "min-pose-confidence": config.least_pose_confidence,
        "pose-model": pose_id,
        "action-model": action_id,
        **{f"rules.{name.replace('_', '-')}": value for name, value in rules.items()},
    }


def _hash(decisive: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def _new_record(
    config: AnalyzeConfig, decisive: Mapping[str, Any], actions: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "run_id": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
        "poseact_version": __version__,
        "config_hash": _hash(decisive),
        "decisive": decisive,
        "actions": actions,
        "config": dataclasses.asdict(config),
    }


def _recorded(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        recorded: Any = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON ({error}). Choose another --out.") from error
    if not isinstance(recorded, dict) or not {"run_id", "decisive"} <= recorded.keys():
        raise ConfigError(f"{path}: was not written by `poseact analyze`. Choose another --out.")
    return recorded


def _require_equal(out: Path, recorded: Mapping[str, Any], decisive: Mapping[str, Any]) -> None:
    names = sorted(recorded.keys() | decisive.keys())
    changes = [
        f"{name} was {recorded.get(name)}, is {decisive.get(name)}"
        for name in names
        if recorded.get(name) != decisive.get(name)
    ]
    if changes:
        raise ConfigError(
            f"{out}: holds results of other settings ({'; '.join(changes)}). "
            "Give those settings, or choose another --out."
        )
