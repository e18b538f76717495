"""Where the action model's poses are found. Light: configs of several commands build on it."""

import dataclasses
from pathlib import Path

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionSources:
    """The folders that hold FLIC and the labelled pictures."""

    data: Path | None = None
    """Folder that holds both sets, as `flic/` and `actions/namaste_hello/`."""

    flic: Path | None = None
    """Folder of FLIC, in place of the one in `data`."""

    actions: Path | None = None
    """Folder of the labelled pictures' action_joints.csv, in place of the one in `data`."""

    def __post_init__(self) -> None:
        """Check that both are known."""
        if self.data is None and (self.flic is None or self.actions is None):
            raise ConfigError(
                "data is not set: pass --data FOLDER, or both --flic FOLDER and --actions FOLDER."
            )

    @property
    def flic_folder(self) -> Path:
        """The folder of FLIC."""
        return self.flic or self._in_data("flic")

    @property
    def actions_folder(self) -> Path:
        """The folder of the labelled pictures."""
        return self.actions or self._in_data("actions/namaste_hello")

    def _in_data(self, name: str) -> Path:
        assert self.data is not None  # noqa: S101 - checked when made
        return self.data / name
