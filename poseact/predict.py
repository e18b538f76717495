"""`poseact predict`: both models on single pictures, drawn for the eye."""

from pathlib import Path

import cv2
import numpy as np

from poseact.datasets.person import read_rgb
from poseact.errors import OutputError
from poseact.evaluation.config import PredictConfig
from poseact.geometry import (
    FloatArray,
    ImageArray,
    upper_body_square,
)
from poseact.models.action import ActionClassifier, load_action
from poseact.models.looks import look_twice
from poseact.models.runtime import load_pose
from poseact.review.draw import draw_pose


def predict(config: PredictConfig) -> int:
    """Draw the joints on each picture, print the action; return the exit code.

    Raises:
        BundleError: If a bundle cannot be used.
        InputError: If a picture cannot be read.
        OutputError: If a drawing cannot be written.
    """
    pose, action = load_pose(config.pose_model), load_action(config.action_model)
    for path in config.images:
        rgb_HWC = read_rgb(path)
        height, width = rgb_HWC.shape[:2]
        (joints_J3,) = look_twice(pose, [rgb_HWC], [upper_body_square((0, 0, width, height))])
        label = name_action(action, joints_J3)
        written = _write(config.out, path, draw_pose(rgb_HWC, joints_J3, label))
        print(f"{path}: {label}, mean confidence {joints_J3[:, 2].mean():.2f} -> {written}")
    return 0


def name_action(action: ActionClassifier, joints_J3: FloatArray) -> str:
    """Return the most likely action and its probability, as text."""
    scores_A = action.predict(joints_J3[None])[0]
    best = int(scores_A.argmax())
    return f"{action.classes[best]} {scores_A[best]:.2f}"


def _write(folder: Path, source: Path, rgb_HWC: ImageArray) -> Path:
    path = folder / f"{source.stem}.pose.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ok, png = cv2.imencode(".png", np.ascontiguousarray(rgb_HWC[..., ::-1]))
        assert ok  # noqa: S101 - an uint8 picture always encodes
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
    return path
