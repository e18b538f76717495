"""Models of others, measured on the same people and crops as ours.

A peer is named by kind and place, ``onnx:PATH``. Supported are heat-map models of COCO's 17
keypoints, such as GluonCV's SimplePose: input (1, 3, H, W) RGB, H : W = 4 : 3, with the mean and
deviation of ImageNet; output (1, 17, h, w).

Shape letters: B crops, C channels, K keypoints of COCO, H W rows and columns, J joints.
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import openvino

from poseact.errors import ConfigError, InputError
from poseact.evaluation.find import CropFinder
from poseact.geometry import FloatArray, ImageArray
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NUM_JOINTS,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)

NUM_KEYPOINTS: Final = 17

KEYPOINTS: Final = {
    L_WRIST: (9,),
    L_ELBOW: (7,),
    L_SHOULDER: (5,),
    HEAD: (0, 1, 2),  # nose and both eyes, as FLIC's head is labelled
    R_SHOULDER: (6,),
    R_ELBOW: (8,),
    R_WRIST: (10,),
}
"""Keypoints of COCO whose mean is each of our joints."""

HEIGHT_OVER_WIDTH: Final = 4 / 3
"""Shape of the crops that these models are trained on. The person's square fills the width; above
and below it they see what surrounds the square, which serves their wrists better than grey."""

_MEAN_C = 255 * np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION_C = 255 * np.array([0.229, 0.224, 0.225], np.float32)


def load_peer(name: str) -> CropFinder:
    """Load a model of others.

    Args:
        name: ``onnx:PATH``.

    Raises:
        ConfigError: If the name is of another kind.
        InputError: If the file cannot be read, or is no supported model.
    """
    return CropFinder(CocoHeatMaps(_parse(name)), reach=HEIGHT_OVER_WIDTH, looks_twice=False)


class CocoHeatMaps:
    """Finds our joints by a model of COCO's keypoints, on one CPU thread in float32."""

    def __init__(self, path: Path) -> None:
        """Read the model and compile it; InputError as ``load_peer`` says."""
        content = _read(path)
        model = _parse_onnx(path)
        _check_shapes(model, path)
        self._height, self._width = (int(size) for size in model.input(0).shape[2:])
        self._compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        self.model_id = f"{path.stem}@{hashlib.sha256(content).hexdigest()[:12]}"

    @property
    def input_px(self) -> int:
        """Side of its crops: the height of its input, which shows their middle columns."""
        return self._height

    def predict(self, crops_BHWC: ImageArray) -> FloatArray:
        """Find the joints.

        Args:
            crops_BHWC: Crops of one person each, (B, input_px, input_px, 3), uint8 RGB.

        Returns:
            Joints, (B, 7, 3), float32: x, y in crop pixels, confidence in [0, 1].
        """
        left = (self._height - self._width) // 2
        columns_BHWC = crops_BHWC[:, :, left : left + self._width].astype(np.float32)
        inputs_BCHW = ((columns_BHWC - _MEAN_C) / _DEVIATION_C).transpose(0, 3, 1, 2)
        joints_BJ3 = np.stack([self._joints(crop_CHW[None]) for crop_CHW in inputs_BCHW])
        joints_BJ3[..., 0] += left
        return joints_BJ3

    def _joints(self, input_1CHW: FloatArray) -> FloatArray:
        heat_KHW: FloatArray = self._compiled(np.ascontiguousarray(input_1CHW))[0][0]
        keypoints_K3 = decode(heat_KHW)
        keypoints_K3[:, :2] *= self._height / heat_KHW.shape[1]
        return joints_of_keypoints(keypoints_K3)


def decode(heat_KHW: FloatArray) -> FloatArray:
    """Return peaks of heat maps, (K, 3): x, y in cells and height in [0, 1].

    A peak is shifted by a quarter of a cell towards its larger neighbour along each axis; one at
    the rim stays where it is.

    Source:
        Newell et al., Stacked hourglass networks for human pose estimation, 2016.
    """
    height, width = heat_KHW.shape[1:]
    peaks_K3 = np.empty((len(heat_KHW), 3), np.float32)
    for peak_3, heat_HW in zip(peaks_K3, heat_KHW, strict=True):
        row, column = divmod(int(heat_HW.argmax()), width)
        x, y = float(column), float(row)
        if 0 < column < width - 1:
            x += 0.25 * np.sign(heat_HW[row, column + 1] - heat_HW[row, column - 1])
        if 0 < row < height - 1:
            y += 0.25 * np.sign(heat_HW[row + 1, column] - heat_HW[row - 1, column])
        peak_3[:] = x, y, heat_HW[row, column].clip(0, 1)
    return peaks_K3


def joints_of_keypoints(keypoints_K3: FloatArray) -> FloatArray:
    """Return our joints, (J, 3), from the 17 keypoints of COCO."""
    joints_J3 = np.empty((NUM_JOINTS, 3), np.float32)
    for joint, sources in KEYPOINTS.items():
        joints_J3[joint] = keypoints_K3[list(sources)].mean(axis=0)
    return joints_J3


def _parse(name: str) -> Path:
    kind, _, path = name.partition(":")
    if kind != "onnx" or not path:
        raise ConfigError(f"peer: got {name!r}, expected onnx:PATH, a pose model as an ONNX file.")
    return Path(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def _parse_onnx(path: Path) -> openvino.Model:
    try:
        return openvino.Core().read_model(path)
    except RuntimeError as error:
        raise InputError(f"{path}: is no ONNX model that OpenVINO can read.") from error


def _check_shapes(model: openvino.Model, path: Path) -> None:
    """Refuse a model that is not of the one supported kind."""
    shapes = [port.partial_shape for port in (*model.inputs, *model.outputs)]
    sizes = [list(shape.to_shape()) if shape.is_static else [] for shape in shapes]
    match sizes:
        case [[1, 3, height, width], [1, int(keypoints), _, _]] if (
            keypoints == NUM_KEYPOINTS and height == round(HEIGHT_OVER_WIDTH * width)
        ):
            return
    raise InputError(
        f"{path}: inputs and outputs are {', '.join(map(str, shapes))}; expected an input "
        f"[1,3,H,W] with H : W = 4 : 3 and an output [1,{NUM_KEYPOINTS},h,w] of heat maps."
    )
