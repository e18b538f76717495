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
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from poseact import __version__
from poseact.errors import BundleError, OutputError

SHIPPED = Path(__file__).parent.parent / "weights"
"""Folder of the bundles that ship with the package, one subfolder per kind."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"


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
            f"{folder}: is a bundle of kind {manifest.get('kind')!r}, expected {kind!r}. "
            f"Pass a folder written by `poseact train-{kind}`."
        )
    content = _read_file(folder / WEIGHTS, manifest["files"][WEIGHTS])
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS}: not safetensors ({error}).") from error
    return Bundle(
        path=folder,
        manifest=manifest,
        tensors={name: value.float() for name, value in tensors.items()},
    )


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
        (folder / MANIFEST).write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the bundle: {error.strerror}.") from error
    return read_bundle(folder, str(manifest["kind"]))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read: {error.strerror}. A bundle is a folder with {MANIFEST}."
        ) from error
    except ValueError as error:
        raise BundleError(f"{path}: is not JSON ({error}). Write the bundle again.") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or files.keys() != {WEIGHTS}:
        raise BundleError(f"{path}: 'files' must give the hash of {WEIGHTS} and nothing else.")
    return dict(manifest)


def _read_file(path: Path, expected_sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}.") from error
    got = hashlib.sha256(content).hexdigest()
    if got != expected_sha256:
        raise BundleError(
            f"{path}: hash is {got[:12]}, the manifest says {str(expected_sha256)[:12]}. "
            "The file was changed or damaged; copy the bundle again."
        )
    return content
