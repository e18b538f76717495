"""From a bundle that anybody may have written to a network, in memory bounded by its file."""

import dataclasses
import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import Size, Tensor, nn

from poseact.config_file import checked
from poseact.errors import BundleError, ConfigError
from poseact.foreign import shown
from poseact.models.bundle import MANIFEST, Bundle

NetT = TypeVar("NetT", bound=nn.Module)
FieldsT = TypeVar("FieldsT")

_NO_STATE_DICT: Final = (
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch raises for files that are none: found by changing bytes of files that are one."""


def manifest_as(bundle: Bundle, fields_class: type[FieldsT]) -> FieldsT:
    """Read the part of a manifest that a dataclass describes.

    Args:
        bundle: Its manifest is read; what the dataclass does not name is for people.
        fields_class: Names, types and defaults of what is read; may check itself by ValueError.

    Returns:
        The part, every value of its field's type.

    Raises:
        BundleError: If a value is missing, of another type, not finite, or refused by the class.
    """
    names = {field.name for field in dataclasses.fields(fields_class)}  # type: ignore[arg-type]
    content = {name: value for name, value in bundle.manifest.items() if name in names}
    return from_json(content, fields_class, f"{bundle.path / MANIFEST}: ")


def from_json(content: object, fields_class: type[FieldsT], where: str) -> FieldsT:
    """Make a dataclass of JSON, where tuples have become lists; raises as ``manifest_as``."""
    try:
        return checked(content, fields_class, "")
    except (ConfigError, ValueError) as error:
        raise unknown(where, error) from error


def unknown(where: str, error: Exception) -> BundleError:
    """Return the error for a part of a manifest from which nothing can be built."""
    reason = str(error).rstrip(".")
    return BundleError(f"{where}not known to this version ({reason}). Train it again.")


def trained_net(bundle: Bundle, new_net: Callable[[], NetT]) -> NetT:
    """Build the network of a bundle, ready for inference.

    Args:
        bundle: Its tensors must be those of the network, by name and shape.
        new_net: Makes the network, untrained.

    Raises:
        BundleError: If they are not. That is found out without memory for the network, which may
            be far larger than the file.
    """
    with torch.device("meta"):
        expected = {name: value.shape for name, value in new_net().state_dict().items()}
    found = {name: value.shape for name, value in bundle.tensors.items()}
    if found != expected:
        raise BundleError(
            f"{bundle.path}: its weights do not fit its architecture "
            f"({_difference(expected, found)}); another version wrote it. Train it again."
        )
    net = new_net()
    net.load_state_dict(dict(bundle.tensors))
    return net.eval()


def read_state_dict(path: Path, setting: str) -> dict[str, Tensor]:
    """Read the tensors that ``torch.save`` wrote; what else a pickle might do is not done.

    Args:
        path: File with a state dict.
        setting: Who names it, for messages.

    Raises:
        ConfigError: If it cannot be read or is no state dict.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files, which are refused in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"{setting}: {path}: {error.strerror}. Name a file.") from error
    except _NO_STATE_DICT as error:
        raise ConfigError(
            f"{setting}: {path}: not a state dict of tensors. Write one by torch.save."
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise ConfigError(f"{setting}: {path}: holds no state dict. Save one.")
    return dict(content)


def _difference(expected: Mapping[str, Size], found: Mapping[str, Size]) -> str:
    name = min(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    is_, should = (
        "absent" if name not in of else "x".join(map(str, of[name])) or "a number"
        for of in (found, expected)
    )
    return f"{shown(name)} is {is_}, expected {should}"
