"""Settings from a YAML file, held to the same config class as the flags."""

import dataclasses
import difflib
import math
import stat
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from poseact.errors import ConfigError
from poseact.text import printable, shown

_MAX_BYTES: Final = 1024**2
"""Room for ten thousand paths; YAML of this size takes a quarter of a minute to read."""

_MAX_INT: Final = 2**63 - 1
"""More fits neither a table nor a float, and beyond 4300 digits not even a message."""


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
    text = _read_text(path)
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that refuses more
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply; settings have two levels.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a date or a number that looks like one, but is none, is no YAMLError
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML that is read here ({reason}).") from error
    return _fields({} if content is None else content, config_class, f"{path}: ")


def closest(name: str, names: Iterable[str]) -> str:
    """Say which known name a mistyped one resembles.

    Returns:
        ``"; did you mean X?"``, or a full stop where nothing is close.
    """
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {matches[0]}?" if matches else "."


def _read_text(path: Path) -> str:
    try:
        # a pipe would be waited for, a device may have no end
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: cannot be read (no regular file).")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no UTF-8 text ({error}).") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {_MAX_BYTES:,} bytes; is it a settings file?")
    return text


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

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) > _MAX_INT:
            raise _refused("whole number too large for 64 bits", node)
        return value


def _refused(problem: str, where: Any) -> yaml.YAMLError:  # noqa: ANN401 - an event or a node
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


# PyYAML looks constructors up here, by tag, and would call the method that it overrides.
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _fields(content: object, config_class: type, where: str) -> dict[str, Any]:
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
    if isinstance(value, str) and not _can_name_a_file(value):
        raise ConfigError(f"{where}holds a character that no file name can have: {shown(value)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}must be a finite number, got {value}.")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint or (origin is typing.Literal and value in arguments):
        return value
    raise ConfigError(f"{where}expected {_spell(hint)}, got {shown(value)}.")


def _can_name_a_file(text: str) -> bool:
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
