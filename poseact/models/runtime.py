"""Executes a pose bundle in batches: OpenVINO on the CPU, torch on a GPU."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from poseact.geometry import FloatArray, ImageArray
from poseact.models.bundle import read_bundle
from poseact.models.calibration import Calibration
from poseact.models.openvino import by_openvino
from poseact.models.pose import PoseNet, PoseOutputs, averaged_with_mirror, normalize
from poseact.models.presets import pose_net
from poseact.models.trust import manifest_as
from poseact.skeleton import NUM_JOINTS

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
_Forward: TypeAlias = Callable[[ImageArray], PoseOutputs]

GPU_BATCH = 64
"""Crops that a GPU takes at once."""


class PoseEstimator:
    """Finds the seven joints of the person in each crop."""

    def __init__(
        self,
        forward: _Forward,
        decode: Callable[[PoseOutputs], Tensor],
        *,
        input_px: int,
        model_id: str,
        calibration: Calibration | None = None,
    ) -> None:
        """Wrap a network.

        Args:
            forward: From (B, S, S, 3) uint8 RGB crops to what the network says.
            decode: From there to joints, (B, 7, 3).
            input_px: S.
            model_id: Name of the model, which tables record.
            calibration: Makes confidences probabilities; None leaves them as decoded.
        """
        self._forward = forward
        self._decode = decode
        self._calibration = calibration
        self.input_px = input_px
        self.model_id = model_id

    @classmethod
    def from_net(cls, net: PoseNet, *, mirror_test: bool = False) -> "PoseEstimator":
        """Run a network as it is, by torch, on the device that holds it."""
        forward = _by_torch(net)
        return cls(
            _with_mirror(forward, net) if mirror_test else forward,
            net.decode,
            input_px=net.shape.input_px,
            model_id="in-memory",
        )

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
            return np.empty((0, NUM_JOINTS, 3), np.float32)
        with torch.inference_mode():
            outputs = self._forward(np.ascontiguousarray(crops_BHWC))
            joints_BJ3: FloatArray = self._decode(outputs).cpu().numpy()
        if self._calibration is not None:
            joints_BJ3[..., 2] = self._calibration.apply(joints_BJ3[..., 2])
        return joints_BJ3


def chosen(device: Device) -> Literal["cpu", "cuda"]:
    """Return the device that is meant: for ``auto``, a GPU if torch sees one."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Manifest:
    """What a pose model's manifest may say of how it is run."""

    mirror_test: bool = False
    calibration: Calibration | None = None


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
    net = pose_net(contents)
    device = chosen(device)
    how = manifest_as(contents, _Manifest)
    size = (net.shape.input_px, net.shape.input_px)
    forward = by_openvino(net, size) if device == "cpu" else _by_cuda_graph(net)
    return PoseEstimator(
        _with_mirror(forward, net) if how.mirror_test else forward,
        net.decode,
        input_px=net.shape.input_px,
        model_id=contents.model_id,
        calibration=how.calibration,
    )


def _by_torch(net: PoseNet) -> _Forward:
    device = next(net.parameters()).device

    def forward(crops_BHWC: ImageArray) -> PoseOutputs:
        crops = torch.from_numpy(crops_BHWC).to(device).permute(0, 3, 1, 2)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs: PoseOutputs = net(normalize(crops))
        return outputs

    return forward


def _by_cuda_graph(net: PoseNet) -> _Forward:
    """Record the network once, for full batches, in bfloat16; a replay launches it as one."""
    net = net.to(device="cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    size_px = net.shape.input_px
    batch_BHWC = torch.zeros(GPU_BATCH, size_px, size_px, 3, dtype=torch.uint8, device="cuda")

    def run() -> PoseOutputs:
        # autocast's cache of converted weights must not outlive the recording
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            outputs: PoseOutputs = net(normalize(batch_BHWC.permute(0, 3, 1, 2)))
        return outputs

    warm_up = torch.cuda.Stream()
    warm_up.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm_up):
        run()
    torch.cuda.current_stream().wait_stream(warm_up)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = run()

    def forward(crops_BHWC: ImageArray) -> PoseOutputs:
        parts = []
        for start in range(0, len(crops_BHWC), GPU_BATCH):
            crops = torch.from_numpy(crops_BHWC[start : start + GPU_BATCH])
            batch_BHWC[: len(crops)].copy_(crops)
            graph.replay()
            parts.append(tuple(output[: len(crops)].clone() for output in recorded))
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    return forward


def _with_mirror(forward: _Forward, net: PoseNet) -> _Forward:
    """Look at each crop twice, once mirrored (a flip test)."""

    def forward_twice(crops_BHWC: ImageArray) -> PoseOutputs:
        mirrored = torch.from_numpy(crops_BHWC).flip(2).numpy()  # ten times as quick as numpy's
        both = np.concatenate([crops_BHWC, mirrored])
        return averaged_with_mirror(net, forward(both))

    return forward_twice
