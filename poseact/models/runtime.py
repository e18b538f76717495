"""Executes a pose bundle in batches: ONNX Runtime on the CPU, torch on a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnxruntime
import torch

from poseact.geometry import FloatArray, ImageArray
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.pose import (
    PoseArchitecture,
    PoseLogits,
    PoseNet,
    decode,
    normalize,
)

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
_Forward: TypeAlias = Callable[[ImageArray], PoseLogits]


class PoseEstimator:
    """Finds the seven joints of the person in each crop."""

    def __init__(self, forward: _Forward, *, input_px: int, model_id: str) -> None:
        """Wrap a function from (B, S, S, 3) uint8 RGB crops to logits."""
        self._forward = forward
        self.input_px = input_px
        self.model_id = model_id

    @classmethod
    def from_net(cls, net: PoseNet, model_id: str = "in-memory") -> "PoseEstimator":
        """Run a network as it is, on the device that holds it."""
        device = next(net.parameters()).device

        def forward(crops_BHWC: ImageArray) -> PoseLogits:
            crops = torch.from_numpy(crops_BHWC).to(device).permute(0, 3, 1, 2)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits: PoseLogits = net(normalize(crops))
            return logits

        return cls(forward, input_px=net.architecture.input_px, model_id=model_id)

    def predict(self, crops_BHWC: ImageArray) -> FloatArray:
        """Find the joints.

        Args:
            crops_BHWC: Crops of one person each, (B, input_px, input_px, 3), uint8 RGB.

        Returns:
            Joints, (B, 7, 3), float32: x, y in crop pixels, confidence in [0, 1].

        Raises:
            ValueError: If the crops have another size.
        """
        expected = (self.input_px, self.input_px, 3)
        if crops_BHWC.shape[1:] != expected:
            raise ValueError(f"crops must be (B, {expected}), got {crops_BHWC.shape}")
        if not len(crops_BHWC):
            return np.empty((0, 7, 3), np.float32)
        with torch.inference_mode():
            joints: FloatArray = decode(self._forward(crops_BHWC)).cpu().numpy()
        return joints


def load_pose(bundle: Path | str | None = None, device: Device = "auto") -> PoseEstimator:
    """Load a pose bundle.

    Args:
        bundle: Its folder; None takes the one that ships with the package.
        device: ``auto`` takes a GPU if torch sees one.

    Returns:
        The estimator.

    Raises:
        BundleError: If the bundle is incomplete, damaged or of another kind.
    """
    contents = read_bundle(bundle, "pose")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and contents.onnx is not None:
        return _on_onnxruntime(contents, contents.onnx)
    net = pose_net(contents).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PoseEstimator.from_net(net, contents.model_id)


def pose_net(bundle: Bundle) -> PoseNet:
    """Build the network of a bundle, ready for inference."""
    net = PoseNet(PoseArchitecture.from_manifest(bundle.manifest["architecture"]))
    net.load_state_dict(dict(bundle.tensors))
    return net.eval()


def _on_onnxruntime(bundle: Bundle, onnx: bytes) -> PoseEstimator:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def forward(crops_BHWC: ImageArray) -> PoseLogits:
        crops = np.ascontiguousarray(crops_BHWC.transpose(0, 3, 1, 2))
        cells, absent = session.run(None, {"crops": normalize(torch.from_numpy(crops)).numpy()})
        return PoseLogits(torch.from_numpy(cells), torch.from_numpy(absent))

    architecture = PoseArchitecture.from_manifest(bundle.manifest["architecture"])
    return PoseEstimator(forward, input_px=architecture.input_px, model_id=bundle.model_id)
