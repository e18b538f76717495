"""Settings from a YAML file, held to the same config class as the flags."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from poseact.errors import ConfigError
from poseact.foreign import printable, read_regular, shown

ConfigT = TypeVar("ConfigT")

_MAX_BYTES: Final = 1024**2
"""Room for ten thousand paths; YAML of this size takes a quarter of a minute to read."""

_MAX_INT: Final = 2**63 - 1
"""More fits no table, and much more no float."""


_LONGEST_KEY: Final = 100
"""Characters of an unknown key that a message shows."""


def read_config_file(path: Path, config_class: type) -> dict[str, Any]:
    """Read the fields of a config class that a YAML file sets.

    Args:
        path: A YAML mapping of field names to values; nested classes are nested mappings.
        config_class: Dataclass whose names and types the file must obey.

    Returns:
        Value of each field that the file names, of the field's type.

    Raises:
        ConfigError: If the file cannot be read, is no mapping, names an unknown key or one key
            twice, or holds a value of another type.
    """
    try:
        text = read_regular(path, max_bytes=_MAX_BYTES).decode()
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that refuses more
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text ({error}).") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply; settings have two levels.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a date or a number that looks like one, but is none, is no YAMLError
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML that is read here ({reason}).") from error
    return checked_fields({} if content is None else content, config_class, f"{path}: ")


def closest(name: str, names: Iterable[str]) -> str:
    """Say which known name a mistyped one resembles.

    Returns:
        ``"; did you mean X?"``, or a full stop where nothing is close.
    """
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {matches[0]}?" if matches else "."


class _Loader(yaml.SafeLoader):
    """YAML without what settings never need and hostile files live on.

    Aliases multiply, tags make other types than the text shows, and of two values for one key the
    first is lost in silence.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"alias *{event.anchor}, write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"tag {event.tag}, only plain values are read", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key_node, _ in node.value:
            key = _key(self.construct_object(key_node, deep=True))
            if key in known:
                raise _refused(f"key {shown(key)} is given twice", key_node)
            known.add(key)
        return super().construct_mapping(node, deep=deep)


def _refused(problem: str, where: Any) -> yaml.YAMLError:  # noqa: ANN401 - an event or a node
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def checked_fields(content: object, config_class: type, where: str) -> dict[str, Any]:
    """Hold what a file says to the fields of a dataclass.

    Args:
        content: What YAML or JSON made of the file.
        config_class: Dataclass whose names and types it must obey.
        where: What messages begin with.

    Returns:
        Value of each field that is named, of the field's type.

    Raises:
        ConfigError: If it is no mapping, names an unknown key, or holds a value of another type.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}expected `name: value` lines, got {shown(content)}.")
    hints = typing.get_type_hints(config_class)
    names = [field.name for field in dataclasses.fields(config_class)]
    values = {_key(key): value for key, value in content.items()}
    for name in values:
        if name not in names:
            raise ConfigError(
                f"{where}unknown key {printable(name[:_LONGEST_KEY])}{closest(name, names)}"
            )
    return {
        name: _convert(value, hints[name], f"{where}{name}: ") for name, value in values.items()
    }


def checked(content: object, config_class: type[ConfigT], where: str) -> ConfigT:
    """Make a dataclass of what a file says; as ``checked_fields``, and nothing may be missing."""
    values = checked_fields(content, config_class, where)
    for field in dataclasses.fields(config_class):  # type: ignore[arg-type]
        if field.name not in values and field.default is field.default_factory:
            raise ConfigError(f"{where}{field.name} must be given.")
    return config_class(**values)


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
        return checked(value, hint, where)
    if isinstance(value, str) and not _can_be_written(value):
        raise ConfigError(f"{where}holds a character that cannot be written: {shown(value)}.")
    if isinstance(value, int) and abs(value) > _MAX_INT:
        raise ConfigError(f"{where}is too large for 64 bits.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}must be a finite number, got {value}.")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint or (origin is typing.Literal and value in arguments):
        return value
    raise ConfigError(f"{where}expected {_spell(hint)}, got {shown(value)}.")


def _can_be_written(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, by an escape
        return False


def _spell(hint: object) -> str:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return f"a list of {_spell(arguments[0])}"
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    return hint.__name__ if isinstance(hint, type) else str(hint)
