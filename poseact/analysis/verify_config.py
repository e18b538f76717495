"""Settings of verify. Light: imports neither torch nor tables."""

import dataclasses

import tyro


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Check that the tables of a run hold every expected frame exactly once."""

    out: tyro.conf.Positional[str]
    """Folder of the run: the --out of `poseact analyze`. Nothing is changed."""
