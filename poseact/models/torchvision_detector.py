"""Person detectors of torchvision, trained on COCO, behind the interface of our own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from poseact.errors import ConfigError
from poseact.geometry import ImageArray
from poseact.models.detection import LEAST_SCORE, Detections
from poseact.models.runtime import Device, chosen
from poseact.models.trust import read_state_dict

PERSON = 1
"""COCO's number of the class."""


@dataclasses.dataclass(frozen=True)
class TorchvisionDetector:
    """Finds people by a network of torchvision."""

    net: nn.Module
    model_id: str
    threshold: float = 0.5

    def detect(self, pictures: Sequence[ImageArray]) -> list[Detections]:
        """Find people in pictures, (H, W, 3), uint8 RGB, each of its own size."""
        with torch.inference_mode():
            return [self._detect(picture_HWC) for picture_HWC in pictures]

    def _detect(self, picture_HWC: ImageArray) -> Detections:
        device = next(self.net.parameters()).device
        picture = torch.from_numpy(np.ascontiguousarray(picture_HWC)).to(device)
        (found,) = self.net([picture.permute(2, 0, 1).float() / 255])
        is_person_N = found["labels"] == PERSON
        return Detections(
            boxes_N4=found["boxes"][is_person_N].float().cpu().numpy(),
            scores_N=found["scores"][is_person_N].float().cpu().numpy(),
        ).above(LEAST_SCORE)


def load_torchvision(
    name: str, weights: Path | None = None, device: Device = "auto"
) -> TorchvisionDetector:
    """Build a detector of torchvision.

    Args:
        name: Such as ``ssdlite320_mobilenet_v3_large`` or ``fasterrcnn_resnet50_fpn``.
        weights: File with its state dict; None lets torchvision download it.
        device: Where it runs; ``auto`` takes a GPU if torch sees one.

    Raises:
        ConfigError: If torchvision has no such detector, or the weights cannot be had.
    """
    from torchvision.models import detection, get_model  # takes longer to import than the rest

    known = _names(detection)
    if name not in known:
        raise ConfigError(f"detector: torchvision has no {name!r}; it has {', '.join(known)}.")
    if weights is None:
        try:
            net = get_model(name, weights="DEFAULT")
        except OSError as error:
            raise ConfigError(
                f"detector: the weights of {name} cannot be downloaded: {error}. "
                "Give --detector-weights."
            ) from error
    else:
        state_dict = read_state_dict(weights, "detector_weights")
        net = get_model(name, weights=None, weights_backbone=None)
        try:
            net.load_state_dict(state_dict)
        except RuntimeError as error:
            raise ConfigError(f"detector_weights: {weights} does not fit {name}.") from error
    return TorchvisionDetector(net.eval().to(chosen(device)), f"torchvision:{name}")


def _names(module: Any) -> list[str]:  # noqa: ANN401 - a module
    from torchvision.models import list_models

    return sorted(set(list_models(module)))
