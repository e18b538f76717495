"""Detectors of others, measured on the same pictures as ours.

A peer is named by kind and place: ``fastestdet:PATH`` for an ONNX file of FastestDet, or
``yolofastest:FOLDER`` for a folder with the ncnn files of Yolo-Fastest, which needs the package
ncnn. Both are trained on COCO's 80 classes; of what they find only people count.

Shape letters: N people of one picture, H W rows and columns, C channels.
"""

import hashlib
import importlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import cv2
import numpy as np
import openvino
import torch
from torchvision.ops import nms

from poseact.errors import ConfigError, InputError
from poseact.geometry import FloatArray, ImageArray
from poseact.models.detection import LEAST_SCORE, Detections, Detector

PERSON: Final = 0
"""Where people are among COCO's classes."""

NMS_IOU: Final = 0.45
"""IoU from which both authors take two finds for the same person."""


class FastestDet:
    """FastestDet on one CPU thread, in float32."""

    threshold = 0.65
    """Score from which its authors show a find."""

    def __init__(self, path: Path) -> None:
        """Read the model and compile it; InputError as ``load_detector_peer`` says."""
        content = _read(path)
        try:
            model = openvino.Core().read_model(io.BytesIO(content))
        except RuntimeError as error:
            raise InputError(f"{path}: is no ONNX model that OpenVINO can read.") from error
        shapes = [port.partial_shape.to_string() for port in (*model.inputs, *model.outputs)]
        match [re.findall(r"\d+", shape) for shape in shapes]:
            case [["1", "3", height, width], ["1", "85", _, _]]:
                self._size = int(width), int(height)
            case _:
                raise InputError(
                    f"{path}: inputs and outputs are {', '.join(shapes)}; expected those of "
                    "FastestDet, [1,3,H,W] and [1,85,h,w]."
                )
        self._compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        self.model_id = _model_id(path.stem, content)

    def detect(self, pictures: Sequence[ImageArray]) -> list[Detections]:
        """Find people in pictures, (H, W, 3), uint8 RGB, each of its own size."""
        return [self._detect(picture_HWC) for picture_HWC in pictures]

    def _detect(self, picture_HWC: ImageArray) -> Detections:
        shrunk_HWC = cv2.resize(picture_HWC, self._size, interpolation=cv2.INTER_AREA)
        bgr_CHW = shrunk_HWC[..., ::-1].transpose(2, 0, 1)
        input_1CHW = np.ascontiguousarray(bgr_CHW[None], np.float32) / 255
        boxes_N4, scores_N = decode_cells(self._compiled(input_1CHW)[0][0])
        return _people(boxes_N4, scores_N, picture_HWC)


def decode_cells(cells_CHW: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what FastestDet says of people.

    Args:
        cells_CHW: Its output, (85, H, W): whether there is something, then the shift of the middle
            from the cell, the size, and the share of each class.

    Returns:
        Boxes x0, y0, x1, y1, (N, 4), in shares of the picture's sides, and scores, (N,), of the
        cells in which a person is the likeliest thing.

    Source:
        The decoding in FastestDet's own example, runtime.py.
    """
    rows_N, columns_N = np.nonzero(cells_CHW[5:].argmax(axis=0) == PERSON)
    something_N, shift_x_N, shift_y_N, width_N, height_N, person_N = cells_CHW[
        :6, rows_N, columns_N
    ]
    middle_N2 = np.stack(
        [
            (columns_N + np.tanh(shift_x_N)) / cells_CHW.shape[2],
            (rows_N + np.tanh(shift_y_N)) / cells_CHW.shape[1],
        ],
        axis=1,
    )
    half_N2 = 0.5 / (1 + np.exp(-np.stack([width_N, height_N], axis=1)))
    boxes_N4 = np.concatenate([middle_N2 - half_N2, middle_N2 + half_N2], axis=1)
    scores_N = something_N**0.6 * person_N**0.4
    return boxes_N4.astype(np.float32), scores_N.astype(np.float32)


class YoloFastest:
    """Yolo-Fastest on one CPU thread, as its ncnn files have it."""

    threshold = 0.25
    """Score from which its authors show a find."""

    def __init__(self, folder: Path) -> None:
        """Read the model; InputError and ConfigError as ``load_detector_peer`` says."""
        ncnn = _import_ncnn()
        params = sorted(folder.glob("*.param"))
        if len(params) != 1:
            raise InputError(f"{folder}: holds {len(params)} files *.param, expected one.")
        graph, weights = _read(params[0]).decode(), params[0].with_suffix(".bin")
        self.model_id = _model_id(params[0].stem, _read(weights))
        self._size = _input_size(graph, params[0])
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        if self._net.load_param_mem(_with_doubtful(graph)) or self._net.load_model(str(weights)):
            raise InputError(f"{params[0]}: ncnn cannot read it, or the .bin file beside it.")
        self._input = self._net.input_names()[0]
        self._output = self._net.output_names()[0]
        self._ncnn = ncnn

    def detect(self, pictures: Sequence[ImageArray]) -> list[Detections]:
        """Find people in pictures, (H, W, 3), uint8 RGB, each of its own size."""
        return [self._detect(picture_HWC) for picture_HWC in pictures]

    def _detect(self, picture_HWC: ImageArray) -> Detections:
        pixels, (height, width) = self._ncnn.Mat, picture_HWC.shape[:2]
        mat = pixels.from_pixels_resize(
            np.ascontiguousarray(picture_HWC),
            pixels.PixelType.PIXEL_RGB,
            width,
            height,
            *self._size,
        )
        mat.substract_mean_normalize([], [1 / 255] * 3)
        extractor = self._net.create_extractor()
        extractor.input(self._input, mat)
        _, rows = extractor.extract(self._output)
        # the buffer of an empty Mat has no address, and NumPy would crash on it
        rows_N6 = np.zeros((0, 6), np.float32) if rows.empty() else np.array(rows, np.float32)
        people_N6 = rows_N6[rows_N6[:, 0] == PERSON + 1]
        return _people(people_N6[:, 2:], people_N6[:, 1], picture_HWC)


def load_detector_peer(name: str) -> Detector:
    """Load a detector of others.

    Args:
        name: ``fastestdet:PATH`` or ``yolofastest:FOLDER``.

    Raises:
        ConfigError: If the name is of another kind, or its package is missing.
        InputError: If a file cannot be read, or is no such model.
    """
    match name.partition(":"):
        case ("fastestdet", _, path) if path:
            return FastestDet(Path(path))
        case ("yolofastest", _, path) if path:
            return YoloFastest(Path(path))
    raise ConfigError(
        f"peer: got {name!r}, expected fastestdet:PATH (an ONNX file) or yolofastest:FOLDER "
        "(with ncnn's .param and .bin)."
    )


def _people(boxes_N4: FloatArray, scores_N: FloatArray, picture_HWC: ImageArray) -> Detections:
    """Bring boxes from shares to pixels, and keep one for each person, the surest first."""
    height, width = picture_HWC.shape[:2]
    inside_N4 = boxes_N4.clip(0, 1) * np.array([width, height, width, height], np.float32)
    in_view_N = (inside_N4[:, 2:] - inside_N4[:, :2] >= 1).all(axis=1)
    found = Detections(boxes_N4=inside_N4[in_view_N], scores_N=scores_N[in_view_N])
    found = found.above(LEAST_SCORE)
    kept = nms(torch.from_numpy(found.boxes_N4), torch.from_numpy(found.scores_N), NMS_IOU).numpy()
    return Detections(boxes_N4=found.boxes_N4[kept], scores_N=found.scores_N[kept])


def _import_ncnn() -> ModuleType:
    try:
        return importlib.import_module("ncnn")
    except ImportError as error:
        raise ConfigError(
            "peer: yolofastest needs the package ncnn: `pip install ncnn`."
        ) from error


def _input_size(graph: str, path: Path) -> tuple[int, int]:
    size = re.search(r"^Input\s.*\s0=(\d+) 1=(\d+) 2=3$", graph, re.MULTILINE)
    if size is None or "Yolov3DetectionOutput" not in graph:
        raise InputError(
            f"{path}: is no detector of the YOLO family; expected an input of three channels and "
            "a layer Yolov3DetectionOutput."
        )
    return int(size[1]), int(size[2])


def _with_doubtful(graph: str) -> str:
    """Let the last layer hand out doubtful finds too; its own parameter 2 keeps them back."""
    return re.sub(r"(Yolov3DetectionOutput.* 2=)\S+", rf"\g<1>{LEAST_SCORE}", graph)


def _model_id(name: str, content: bytes) -> str:
    return f"{name}@{hashlib.sha256(content).hexdigest()[:12]}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
