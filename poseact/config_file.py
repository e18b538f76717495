"""Settings from a YAML file, held to the same config class as the flags."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from poseact.errors import ConfigError


def read_config_file(path: Path, config_class: type) -> dict[str, Any]:
    """Read the fields of a config class that a YAML file sets.

    Args:
        path: A YAML mapping of field names to values; nested classes are nested mappings.
        config_class: Dataclass whose names and types the file must obey.

    Returns:
        Value of each field that the file names, of the field's type.

    Raises:
        ConfigError: If the file cannot be read, is no mapping, names an unknown key, or holds a
            value of another type.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML ({reason}).") from error
    return _fields(content or {}, config_class, f"{path}: ")


def closest(name: str, names: Iterable[str]) -> str:
    """Say which known name a mistyped one resembles.

    Returns:
        ``"; did you mean X?"``, or a full stop where nothing is close.
    """
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {matches[0]}?" if matches else "."


def _fields(content: object, config_class: type, where: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}expected `name: value` lines, got {content!r}.")
    hints = typing.get_type_hints(config_class)
    names = [field.name for field in dataclasses.fields(config_class)]
    values = {_key(key): value for key, value in content.items()}
    for name in values:
        if name not in names:
            raise ConfigError(f"{where}unknown key {name}{closest(name, names)}")
    return {
        name: _convert(value, hints[name], f"{where}{name}: ") for name, value in values.items()
    }


def _key(key: object) -> str:
    """Undo YAML 1.1, which takes an unquoted `on` or `off` for a truth value."""
    if isinstance(key, bool):
        return "on" if key else "off"
    return str(key)


def _convert(value: object, hint: object, where: str) -> object:
    """Turn what YAML knows (str, number, list, mapping) into the field's type, or refuse."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        # The unions here are `X | None`.
        inner = next(kind for kind in arguments if kind is not types.NoneType)
        return None if value is None else _convert(value, inner, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, arguments[0], where) for item in value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint(**_fields(value, hint, where))
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint or (origin is typing.Literal and value in arguments):
        return value
    raise ConfigError(f"{where}expected {_spell(hint)}, got {value!r}.")


def _spell(hint: object) -> str:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return f"a list of {_spell(arguments[0])}"
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    return hint.__name__ if isinstance(hint, type) else str(hint)
