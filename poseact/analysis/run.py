"""``run.json``: which settings and models the results in a folder come from.

A run whose tables are being rescored says so (``"rescore": "unfinished"``), from before the first
table changes until after the last one has.
"""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from poseact import __version__
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.ledger import Work
from poseact.errors import ConfigError, InputError, OutputError
from poseact.storage import AnyPath, remove_tree, to_path, write_text
from poseact.timeline.segments import SegmentRules

RUN_FILE = "run.json"
WORK = "work"

_KEYS = {"run_id", "decisive", "actions", "config"}
_EARLIER = "earlier"
"""Settings of the runs whose results ``--overwrite`` replaced, in part or all, by run id."""

_RESCORE = "rescore"
_UNFINISHED = "unfinished"
_NO_DETECTOR = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run: where its results go, and what all their rows have in common."""

    out: AnyPath
    """Folder of the results, absolute."""

    run_id: str

    config_hash: str
    """Of everything that changes results, models included."""

    model_id: str
    """Person detector if any, pose and action model, joined by ``+``."""

    actions: tuple[str, ...]
    """Names of the score columns."""

    rules: SegmentRules

    min_detection_score: float | None
    """Score that a person must reach in one frame at least; None where nobody was looked for."""

    own_ids: frozenset[str]
    """Its id, and those of earlier runs in this folder whose results have just these settings."""

    @property
    def work(self) -> Work:
        """The folder of what is planned, tried and done."""
        return Work(self.out / WORK / self.run_id)

    def remove_work(self) -> None:
        """Remove the work folder unless it still holds a video that is not finished."""
        if not self.work.unfinished_ids():
            remove_tree(self.out / WORK)

    def require_current(self) -> None:
        """Raise OutputError if the folder was given to another run meanwhile, or is gone."""
        recorded = _recorded(self.out / RUN_FILE) or {}
        if recorded.get("run_id") != self.run_id:
            raise OutputError(
                f"{self.out}: no longer holds run {self.run_id}. Was it removed, or overwritten "
                "by another run? Give the same command again."
            )


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
        ConfigError: If the folder holds results of other settings or models, and ``overwrite`` is
            not set.
        OutputError: If the folder cannot be written.
    """
    out = to_path(config.out)
    decisive = _decisive(config, detector_id, pose_id, action_id)
    recorded = _recorded(out / RUN_FILE)
    if recorded is None:
        recorded = _new_record(config, decisive, actions, earlier={})
    else:
        _require_rescored(out, recorded)
        if changes := _changes(recorded["decisive"], decisive):
            if not config.overwrite:
                raise _other_settings(out, changes)
            remove_tree(out / WORK)
            earlier = {**recorded.get(_EARLIER, {}), recorded["run_id"]: recorded["decisive"]}
            recorded = _new_record(config, decisive, actions, earlier=earlier)
    run = _run(out, recorded, config.rules)
    run.work.prepare()
    _write(out, recorded)
    return run


def require_same_settings(run: Run, run_ids: Iterable[str]) -> None:
    """Refuse to mix: raise ConfigError if an earlier run, of other settings, made results.

    Args:
        run: The run.
        run_ids: Who made the results that are there of the videos that are asked for.
    """
    recorded = _recorded(run.out / RUN_FILE) or {}
    for run_id in sorted(set(run_ids) - run.own_ids):
        earlier = recorded.get(_EARLIER, {}).get(run_id)
        if earlier is None:
            raise ConfigError(
                f"{run.out}: holds results of run {run_id}, of which {RUN_FILE} tells nothing. Was "
                "it removed? Choose another --out, or analyze these videos anew by --overwrite."
            )
        raise _other_settings(run.out, _changes(earlier, recorded.get("decisive", {})))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What ``run.json`` tells of a folder of results."""

    run_id: str

    config_hash: str
    """Of the settings as they are now."""

    actions: tuple[str, ...]

    earlier_hashes: Mapping[str, str]
    """Hash of the settings of each run whose results were, in part or all, overwritten."""

    is_rescored: bool
    """Whether all timelines have these settings; False while a rescore is not at its end."""


def read_run(out: AnyPath) -> RecordedRun:
    """Read ``run.json``.

    Raises:
        ConfigError: If it is damaged, or not ours.
        InputError: If there is none.
    """
    recorded = _recorded(out / RUN_FILE)
    if recorded is None:
        raise _no_run(out)
    return RecordedRun(
        run_id=recorded["run_id"],
        config_hash=_hash(recorded["decisive"]),
        actions=tuple(recorded["actions"]),
        earlier_hashes={id_: _hash(of) for id_, of in recorded.get(_EARLIER, {}).items()},
        is_rescored=recorded.get(_RESCORE) != _UNFINISHED,
    )


def begin_rescore(  # noqa: PLR0913 - what changes, and of whom
    out: AnyPath,
    *,
    action_model: Path | None,
    action_id: str,
    actions: tuple[str, ...],
    rules: Mapping[str, float],
    run_ids: Iterable[str],
) -> Run:
    """Enter an action model and rules into a finished run, and that its tables lag behind.

    Args:
        out: Folder of the run, absolute.
        action_model: Folder of the action bundle; None for the one that ships with the package.
        action_id: The action model.
        actions: Its classes.
        rules: Value of each rule that changes.
        run_ids: Who made the results that are there.

    Returns:
        The run as it will be; ``end_rescore`` tells that it is.

    Raises:
        ConfigError: If the rules make no sense, or some results come from other settings that
            scoring anew does not change.
        InputError: If there is no run, or it is not finished.
        OutputError: If the folder cannot be written.
    """
    recorded = _recorded(out / RUN_FILE)
    if recorded is None:
        raise _no_run(out)
    if (out / WORK).exists():
        raise InputError(
            f"{out}: the run is not finished. The same `poseact analyze` again goes on with it; "
            "rescore after that."
        )
    new_rules = dataclasses.replace(_recorded_rules(recorded["decisive"]), **rules)
    scored = {"action-model": action_id, **_rule_settings(new_rules)}
    decisive = {**recorded["decisive"], **scored}
    for run_id in sorted({*run_ids} & recorded.get(_EARLIER, {}).keys()):
        if changes := _changes({**recorded[_EARLIER][run_id], **scored}, decisive):
            raise ConfigError(
                f"{out}: some results are of other settings ({changes}), and scoring alone does "
                "not change that. Analyze these videos anew by `poseact analyze --overwrite` first."
            )
    changed = {
        **recorded,
        "config_hash": _hash(decisive),
        "decisive": decisive,
        "actions": actions,
        "config": {
            **recorded["config"],
            "action_model": action_model,
            "rules": dataclasses.asdict(new_rules),
        },
        _RESCORE: _UNFINISHED,
    }
    _write(out, changed)
    return _run(out, changed, new_rules)


def end_rescore(run: Run) -> None:
    """Tell that all tables are as ``run.json`` says; OutputError if it cannot be written."""
    run.require_current()
    recorded = _recorded(run.out / RUN_FILE) or {}
    recorded.pop(_RESCORE, None)
    if _EARLIER in recorded:  # their tables have these settings, too
        recorded[_EARLIER] = dict.fromkeys(recorded[_EARLIER], recorded["decisive"])
    _write(run.out, recorded)


def _run(out: AnyPath, recorded: Mapping[str, Any], rules: SegmentRules) -> Run:
    decisive = recorded["decisive"]
    models = [decisive[name] for name in ("detector", "pose-model", "action-model")]
    same_settings = [id_ for id_, of in recorded.get(_EARLIER, {}).items() if of == decisive]
    return Run(
        out=out,
        run_id=recorded["run_id"],
        config_hash=_hash(decisive),
        model_id="+".join(model for model in models if model != _NO_DETECTOR),
        actions=tuple(recorded["actions"]),
        rules=rules,
        own_ids=frozenset({recorded["run_id"], *same_settings}),
        min_detection_score=decisive["min-detection-score"],
    )


def _decisive(
    config: AnalyzeConfig, detector_id: str | None, pose_id: str, action_id: str
) -> dict[str, Any]:
    """Return every setting on which the rows depend, by its flag."""
    return {
        "detector": detector_id or _NO_DETECTOR,
        "detect-every-s": config.detect_every_s,
        "min-detection-score": config.min_detection_score,
        "min-pose-confidence": config.least_pose_confidence,
        "pose-model": pose_id,
        "action-model": action_id,
        **_rule_settings(config.rules),
    }


def _rule_settings(rules: SegmentRules) -> dict[str, float]:
    return {_flag(name): value for name, value in dataclasses.asdict(rules).items()}


def _recorded_rules(decisive: Mapping[str, Any]) -> SegmentRules:
    """Return the rules of a run; one that its version did not know yet has its default."""
    names = [field.name for field in dataclasses.fields(SegmentRules)]
    return SegmentRules(**{n: decisive[_flag(n)] for n in names if _flag(n) in decisive})


def _flag(rule: str) -> str:
    return f"rules.{rule.replace('_', '-')}"


def _hash(decisive: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def _new_record(
    config: AnalyzeConfig,
    decisive: Mapping[str, Any],
    actions: tuple[str, ...],
    earlier: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    return {
        "run_id": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
        "poseact_version": __version__,
        "config_hash": _hash(decisive),
        "decisive": decisive,
        "actions": actions,
        "config": dataclasses.asdict(config),
        _EARLIER: earlier,
    }


def _write(out: AnyPath, record: Mapping[str, Any]) -> None:
    write_text(out / RUN_FILE, json.dumps(record, indent=2, default=str) + "\n")


def _recorded(path: AnyPath) -> dict[str, Any] | None:
    try:
        recorded: Any = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON ({error}). Choose another --out.") from error
    if not isinstance(recorded, dict) or not recorded.keys() >= _KEYS:
        raise ConfigError(f"{path}: was not written by `poseact analyze`. Choose another --out.")
    return recorded


def _no_run(out: AnyPath) -> InputError:
    return InputError(
        f"{out}: holds no run of poseact. Name the --out of a finished `poseact analyze`."
    )


def _require_rescored(out: AnyPath, recorded: Mapping[str, Any]) -> None:
    if recorded.get(_RESCORE) == _UNFINISHED:
        raise ConfigError(
            f"{out}: a rescore with {recorded['decisive']['action-model']} did not come to its "
            "end. Give the same `poseact rescore` again; it goes on where it stopped."
        )


def _changes(recorded: Mapping[str, Any], decisive: Mapping[str, Any]) -> str:
    """Say in what settings differ; nothing if they do not."""
    return "; ".join(
        f"{name} was {recorded.get(name)}, is {decisive.get(name)}"
        for name in sorted(recorded.keys() | decisive.keys())
        if recorded.get(name) != decisive.get(name)
    )


def _other_settings(out: AnyPath, changes: str) -> ConfigError:
    return ConfigError(
        f"{out}: holds results of other settings ({changes}). Give those settings, choose another "
        "--out, or analyze these videos anew by --overwrite; action model and rules can be changed "
        "by `poseact rescore`."
    )
