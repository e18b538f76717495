"""Settings of rescore. Light: imports neither torch nor tables."""

import dataclasses
from pathlib import Path

import tyro


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleChanges:
    """Rules to change; one that is left out stays as it was in the run."""

    on: float | None = None
    """Score that starts a segment."""

    off: float | None = None
    """Score below which it ends."""

    min_duration_s: float | None = None
    """Shorter segments are dropped."""

    merge_gap_s: float | None = None
    """Segments of one action and person at most this far apart become one."""

    min_mean_score: float | None = None
    """Segments whose mean score is lower are dropped."""

    alert_score: float | None = None
    """Peak score from which a segment is an ``alert``."""

    min_score: float | None = None
    """Score below which the timeline names no action for a frame."""

    min_trunk_confidence: float | None = None
    """Confidence of shoulders and head below which they count as not seen."""

    def given(self) -> dict[str, float]:
        """Return the value of each rule that changes."""
        changes = dataclasses.asdict(self).items()
        return {name: value for name, value in changes if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RescoreConfig:
    """Find actions anew in the joints of a finished run, without its recordings."""

    out: tyro.conf.Positional[str]
    """Folder of the run: the --out of a finished `poseact analyze`. Its timeline and segments are
    replaced; verdicts stay."""

    action_model: Path | None = None
    """Folder of an action bundle; the one that ships with the package if not given."""

    rules: RuleChanges = dataclasses.field(default_factory=RuleChanges)
    """What turns scores into segments, where it is to change."""
