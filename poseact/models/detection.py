"""Executes a detector bundle: pictures of any size in, boxes of people out.

Shape letters: H W rows and columns, N people of one picture.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseact.geometry import OUTSIDE_GREY, FloatArray, ImageArray
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.detector import DetectorNet, DetectorShape, decode
from poseact.models.openvino import Forward, by_openvino
from poseact.models.pose import normalize
from poseact.models.runtime import Device, chosen
from poseact.models.trust import manifest_as, trained_net

MULTIPLE_PX = 32
"""Sides that the network takes are multiples of this."""

LEAST_SCORE = 0.05
"""Boxes below this score are not worth a row, whatever the threshold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detections:
    """The people found in one picture, the surest first."""

    boxes_N4: FloatArray
    """x0, y0, x1, y1, pixels of the picture, inside it."""

    scores_N: FloatArray
    """In [0, 1]."""

    def above(self, score: float) -> "Detections":
        """Return those of at least some score."""
        return self.where(self.scores_N >= score)

    def where(self, is_kept_N: npt.NDArray[np.bool_]) -> "Detections":
        """Return some of them."""
        return Detections(boxes_N4=self.boxes_N4[is_kept_N], scores_N=self.scores_N[is_kept_N])


class Detector(Protocol):
    """Finds people in pictures."""

    @property
    def model_id(self) -> str:
        """Name of the model, which tables record."""

    @property
    def threshold(self) -> float:
        """Score from which a find counts, unless the user says otherwise."""

    def detect(self, pictures: Sequence[ImageArray]) -> list[Detections]:
        """Find people in pictures, (H, W, 3), uint8 RGB, each of its own size."""


class PersonDetector:
    """A detector bundle, ready to run.

    Each picture is run alone, so that a result never depends on what else was looked at.
    """

    def __init__(
        self,
        compile_for: Callable[[tuple[int, int]], Forward],
        *,
        input_px: int,
        model_id: str,
        threshold: float,
    ) -> None:
        """Wrap a network.

        Args:
            compile_for: Makes the network ready for pictures of some width and height.
            input_px: Longer side that pictures are brought to.
            model_id: Name of the model.
            threshold: Score from which a find counts, unless the user says otherwise.
        """
        self._compile_for = compile_for
        self._compiled: dict[tuple[int, int], Forward] = {}
        self.input_px = input_px
        self.model_id = model_id
        self.threshold = threshold

    @classmethod
    def from_net(cls, net: DetectorNet) -> "PersonDetector":
        """Run a network as it is, by torch, on the device that holds it."""
        return cls(
            lambda _: _by_torch(net),
            input_px=net.shape.input_px,
            model_id="in-memory",
            threshold=0.5,
        )

    def detect(self, pictures: Sequence[ImageArray]) -> list[Detections]:
        """Find people in pictures, (H, W, 3), uint8 RGB, each of its own size."""
        with torch.inference_mode():
            return [self._detect(picture_HWC) for picture_HWC in pictures]

    def _detect(self, picture_HWC: ImageArray) -> Detections:
        height, width = picture_HWC.shape[:2]
        scale = self.input_px / max(height, width)
        fitted_HWC = _fitted(picture_HWC, scale)
        size = (fitted_HWC.shape[1], fitted_HWC.shape[0])
        if size not in self._compiled:
            self._compiled[size] = self._compile_for(size)
        outputs = self._compiled[size](fitted_HWC[None])
        ((boxes_N4, scores_N),) = decode((outputs[0], outputs[1]))
        corners = np.array([width, height, width, height], np.float32)
        return Detections(
            boxes_N4=np.clip(boxes_N4.float().cpu().numpy() / scale, 0, corners),
            scores_N=scores_N.float().cpu().numpy(),
        ).above(LEAST_SCORE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Manifest:
    """What a detector's manifest must say."""

    architecture: DetectorShape
    threshold: float

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must lie in 0..1, got {self.threshold}")


def load_detector(bundle: Path | str | None = None, device: Device = "auto") -> PersonDetector:
    """Load a detector bundle.

    Args:
        bundle: Its folder; None takes the one that ships with the package.
        device: ``auto`` takes a GPU if torch sees one.

    Raises:
        BundleError: If the bundle is incomplete, damaged or of another kind.
    """
    contents = read_bundle(bundle, "detector")
    net = detector_net(contents)
    device = chosen(device)
    if device == "cuda":
        net = net.to(device="cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PersonDetector(
        (lambda size: by_openvino(net, size)) if device == "cpu" else (lambda _: _by_torch(net)),
        input_px=net.shape.input_px,
        model_id=contents.model_id,
        threshold=manifest_as(contents, _Manifest).threshold,
    )


def detector_net(bundle: Bundle) -> DetectorNet:
    """Build the network of a bundle, ready for inference; BundleError if that is not possible."""
    shape = manifest_as(bundle, _Manifest).architecture
    return trained_net(bundle, lambda: DetectorNet(shape))


def _fitted(picture_HWC: ImageArray, scale: float) -> ImageArray:
    """Scale a picture and fill it up with grey on the right and below."""
    height, width = (max(1, round(side * scale)) for side in picture_HWC.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted_HWC = np.full((_filled(height), _filled(width), 3), OUTSIDE_GREY, np.uint8)
    fitted_HWC[:height, :width] = cv2.resize(picture_HWC, (width, height), interpolation=method)
    return fitted_HWC


def _filled(side: int) -> int:
    return math.ceil(side / MULTIPLE_PX) * MULTIPLE_PX


def _by_torch(net: DetectorNet) -> Forward:
    device = next(net.parameters()).device

    def forward(pictures_BHWC: ImageArray) -> tuple[Tensor, ...]:
        pictures = torch.from_numpy(pictures_BHWC).to(device).permute(0, 3, 1, 2)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs: tuple[Tensor, ...] = net(normalize(pictures))
        return outputs

    return forward


def detector_for(
    choice: str, *, weights: Path | None = None, device: Device = "auto"
) -> Detector | None:
    """Load the detector that a user chose.

    Args:
        choice: ``bundled``, ``torchvision:NAME``, a folder, or ``none``.
        weights: State dict for a detector of torchvision.
        device: Where it runs.

    Returns:
        The detector; None for ``none``.

    Raises:
        BundleError: If the bundle cannot be used.
        ConfigError: If torchvision has no such detector, or its weights cannot be had.
    """
    if choice == "none":
        return None
    kind, _, name = choice.partition(":")
    if kind == "torchvision":
        from poseact.models.torchvision_detector import load_torchvision

        return load_torchvision(name, weights, device)
    return load_detector(None if choice == "bundled" else choice, device)
