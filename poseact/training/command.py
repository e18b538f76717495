"""The command that a bundle's manifest names, so that anybody can train it again."""

import dataclasses
import shlex
from typing import Any


def command_line(command: str, config: Any) -> str:  # noqa: ANN401 - any dataclass of settings
    """Return the shell command that has these settings; defaults are left out."""
    words = ["poseact", command]
    # what must be given first, whichever class of settings it is from
    for field in sorted(dataclasses.fields(config), key=_has_default):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{flag}", *map(str, values)]
    return shlex.join(words)


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not dataclasses.MISSING
