"""The pose presets by name, and how a network starts from another model's weights."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from poseact.config_file import checked_fields
from poseact.errors import ConfigError
from poseact.foreign import shown
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.heatmaps import ACCURATE, HeatmapNet, HeatmapShape
from poseact.models.pose import PoseNet, PoseShape
from poseact.models.regression import RegressionNet, RegressionShape
from poseact.models.simcc import SimccNet, SimccShape
from poseact.models.trust import read_state_dict, trained_net, unknown

PRESETS: Mapping[str, PoseShape] = {
    "scratch": RegressionShape(preset="scratch"),
    "vgg16": RegressionShape(preset="vgg16"),
    "mobilenet": RegressionShape(preset="mobilenet"),
    "fast": HeatmapShape(),
    "simcc": SimccShape(),
    "accurate": ACCURATE,
}

_NETS: Mapping[type[PoseShape], Callable[[Any], PoseNet]] = {
    RegressionShape: RegressionNet,
    HeatmapShape: HeatmapNet,
    SimccShape: SimccNet,
}

_CLASSIFIER_BASE = "features."
"""Prefix of a torchvision classifier's convolutions in its state dict."""

_OWN_BASE = "base.1."
"""Prefix of the same layers in ours, where a change of colours comes first."""


def build_pose(shape: PoseShape) -> PoseNet:
    """Build a network with random weights."""
    return _NETS[type(shape)](shape)


def shape_from_manifest(fields: object, where: str = "") -> PoseShape:
    """Rebuild a shape from the JSON of a bundle, where tuples have become lists.

    Args:
        fields: The ``architecture`` of a manifest.
        where: What messages begin with.

    Raises:
        BundleError: If this version does not know such a network.
    """
    preset = fields.get("preset") if isinstance(fields, Mapping) else None
    if not isinstance(preset, str) or preset not in PRESETS:
        expected = f"expected a preset of {', '.join(PRESETS)}, got {shown(preset)}"
        raise unknown(f"{where}architecture: ", ConfigError(expected))
    usual = PRESETS[preset]
    try:
        return dataclasses.replace(usual, **checked_fields(fields, type(usual), ""))
    except (ConfigError, ValueError) as error:
        raise unknown(f"{where}architecture: ", error) from error


def pose_net(bundle: Bundle) -> PoseNet:
    """Build the network of a bundle, ready for inference; BundleError if that is not possible."""
    shape = shape_from_manifest(bundle.manifest.get("architecture"), f"{bundle.path}: ")
    return trained_net(bundle, lambda: build_pose(shape))


def start_from(net: PoseNet, weights: str) -> int:
    """Give a network the weights of another model where both have the same layer.

    Args:
        net: The network to change.
        weights: ``imagenet`` (torchvision downloads them), a file with the state dict of the
            torchvision classifier whose convolutions the preset has, or the folder of a bundle.

    Returns:
        How many tensors were taken over.

    Raises:
        ConfigError: If the preset has no such base, the file is no state dict, or nothing fits.
        BundleError: If the bundle cannot be used.
    """
    preset = net.shape.preset
    if weights == "imagenet":
        theirs = _convolutions(_download(preset))
    elif Path(weights).is_dir():
        theirs = dict(read_bundle(weights, "pose").tensors)
    else:
        theirs = _convolutions(read_state_dict(Path(weights), "base_weights"))
    own = net.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if not any(name.startswith("base.") for name in fitting):
        raise ConfigError(
            f"base_weights: no layer of {weights} fits the base of preset {preset}. Give weights "
            "of the same kind of network, or choose another --preset."
        )
    net.load_state_dict({**own, **fitting})
    return len(fitting)


def _download(preset: str) -> Mapping[str, Tensor]:
    from torchvision import models  # takes longer to import than all the rest

    weights: Mapping[str, Any] = {
        "vgg16": models.VGG16_Weights.IMAGENET1K_V1,
        "mobilenet": models.MobileNet_V3_Small_Weights.IMAGENET1K_V1,
    }
    if preset not in weights:
        raise ConfigError(
            f"base_weights: ImageNet's are known for {' and '.join(weights)}, not for {preset}."
        )
    state_dict: Mapping[str, Tensor] = weights[preset].get_state_dict(progress=True)
    return state_dict


def _convolutions(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace(_CLASSIFIER_BASE, _OWN_BASE, 1): value
        for name, value in state_dict.items()
        if name.startswith(_CLASSIFIER_BASE)
    }
