"""Model bundles: a folder with weights, a manifest that says how they came to be, and no pickles.

    model.safetensors   the weights
    manifest.json       kind, architecture, metrics with their protocols, command, hashes

``manifest["files"]`` holds the SHA-256 of the weights; reading checks it first. What else lies in
the folder (curves) is for people.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from poseact import __version__
from poseact.errors import BundleError, OutputError
from poseact.foreign import read_regular, shown

SHIPPED = Path(__file__).parent.parent / "weights"
"""Folder of the bundles that ship with the package, one subfolder per kind."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"

_MAX_MANIFEST_BYTES: Final = 16 * 1024**2
_MAX_WEIGHTS_BYTES: Final = 4 * 1024**3
_LONGEST_NAME: Final = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle in memory."""

    path: Path
    """Folder it was read from."""

    manifest: Mapping[str, Any]
    """Content of manifest.json."""

    tensors: Mapping[str, torch.Tensor]
    """Weights by parameter name, float32."""

    @property
    def model_id(self) -> str:
        """Name and abbreviated hash of the weights: what tables record."""
        return f"{self.manifest['name']}@{self.manifest['files'][WEIGHTS][:12]}"


def read_bundle(path: Path | str | None, kind: str, *other_kinds: str) -> Bundle:
    """Read a bundle and check that it is whole.

    Args:
        path: Folder of the bundle; None takes the one that ships with the package.
        kind: What it must be: ``pose``, ``action`` or ``detector``.
        other_kinds: What it may be instead.

    Returns:
        The bundle, its weights as float32 on the CPU.

    Raises:
        BundleError: If a file is missing or damaged, or the bundle is of another kind.
    """
    folder = SHIPPED / kind if path is None else Path(path)
    manifest = _read_manifest(folder)
    if manifest.get("kind") not in (kind, *other_kinds):
        raise BundleError(
            f"{folder}: is a bundle of kind {shown(manifest.get('kind'))}, expected {kind!r}. "
            f"Pass a folder written by `poseact train-{kind}`."
        )
    content = _read_file(folder / WEIGHTS, manifest["files"][WEIGHTS])
    return Bundle(path=folder, manifest=manifest, tensors=_tensors(folder / WEIGHTS, content))


def write_bundle(
    folder: Path,
    *,
    manifest: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
) -> Bundle:
    """Write a bundle and read it back.

    Args:
        folder: Where to write; made if absent, an older bundle in it is replaced.
        manifest: At least ``kind`` and ``name``; the package version and hashes are added.
        tensors: Weights by parameter name, stored in their dtype.

    Returns:
        The bundle as ``read_bundle`` gives it.

    Raises:
        OutputError: If the folder cannot be written.
    """
    content = save({name: value.contiguous().cpu() for name, value in tensors.items()})
    full = {
        **manifest,
        "package_version": __version__,
        "files": {WEIGHTS: hashlib.sha256(content).hexdigest()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(content)
        text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the bundle: {error.strerror}.") from error
    return read_bundle(folder, str(manifest["kind"]))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        content = read_regular(path, max_bytes=_MAX_MANIFEST_BYTES)
        manifest = json.loads(content.decode(), object_pairs_hook=_each_once)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read: {error.strerror}. A bundle is a folder with {MANIFEST}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: is not JSON ({error}). Write the bundle again.") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or files.keys() != {WEIGHTS}:
        raise BundleError(f"{path}: 'files' must give the hash of {WEIGHTS} and nothing else.")
    name = manifest.get("name")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise BundleError(f"{path}: 'name' must be the name of the model, got {shown(name)}.")
    return dict(manifest)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"{shown(key)} is given twice")
        fields[key] = value
    return fields


def _read_file(path: Path, expected_sha256: object) -> bytes:
    try:
        content = read_regular(path, max_bytes=_MAX_WEIGHTS_BYTES)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}.") from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected_sha256:
        raise BundleError(
            f"{path}: hash is {got[:12]}, the manifest says {shown(expected_sha256)}. "
            "The file was changed or damaged; copy the bundle again."
        )
    return content


def _tensors(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    try:
        tensors = load(content)
    except (SafetensorError, LookupError, RuntimeError, TypeError) as error:
        # safetensors checks sizes, but torch knows neither all its numbers nor all its shapes, and
        # appends the calls that led there
        reason = str(error).partition("\n")[0]
        raise BundleError(f"{path}: not safetensors that torch can read ({reason}).") from error
    for name, value in tensors.items():
        if value.is_complex() or not value.float().isfinite().all():
            raise BundleError(
                f"{path}: {shown(name)} holds numbers that no weight can be, such as NaN: the "
                "training went wrong. Train it again, with a lower --learning-rate."
            )
    return {name: value.float() for name, value in tensors.items()}
