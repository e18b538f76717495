"""The video protocol: frames of real recordings against reference joints of the main person.

``FOLDER/reference_joints/<stem>.csv`` (``frame_index, x0..y1, j1x..j7y``) belongs to the video
with that stem anywhere below ``FOLDER``.

Shape letters: F frames, J joints.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poseact.datasets.folders import read_table
from poseact.errors import InputError
from poseact.evaluation.pck import PoseErrors
from poseact.geometry import (
    FloatArray,
    invert,
    square_to_crop,
    transform_points,
    upper_body_square,
    warp_crop,
)
from poseact.models.runtime import PoseEstimator
from poseact.skeleton import L_SHOULDER, NUM_JOINTS, R_SHOULDER
from poseact.video.chunks import plan_chunks
from poseact.video.decode import Frame, decode_chunk
from poseact.video.probe import probe

SHOULDERS_TO_TORSO = 1.3
"""Torso length over shoulder width: the normaliser where no hip is labelled."""

CHUNK_BYTES = 64 << 20

_BOX = ["x0", "y0", "x1", "y1"]
_COORDINATES = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]


def evaluate_video_folder(estimator: PoseEstimator, folder: Path) -> dict[str, Any]:
    """Measure a pose model on the reference joints of a folder of videos.

    Args:
        estimator: The model.
        folder: Holds ``reference_joints/`` and, anywhere below, the videos.

    Returns:
        Figures over all frames and, under ``videos``, PCK@0.2 of each; PCK in percent.

    Raises:
        InputError: If there are no references, a video is missing or ambiguous, or a frame that
            a reference names cannot be decoded.
    """
    tables = sorted((folder / "reference_joints").glob("*.csv"))
    if not tables:
        raise InputError(f"{folder / 'reference_joints'}: holds no CSV of reference joints.")
    distances = {path.stem: _measure_video(estimator, folder, path) for path in tables}
    everything = PoseErrors(distance_PJ=np.concatenate(list(distances.values())))
    return {
        "protocol": f"video, {len(tables)} recordings of {folder.name}, crops from boxes",
        "num_people": len(everything.distance_PJ),
        **everything.summary(),
        "videos": {
            stem: {"num_frames": len(distance_FJ), **PoseErrors(distance_PJ=distance_FJ).pck(0.2)}
            for stem, distance_FJ in distances.items()
        },
    }


def _measure_video(estimator: PoseEstimator, folder: Path, table: Path) -> FloatArray:
    video = _find_video(folder, table.stem)
    reference = read_table(table, ["frame_index", *_BOX, *_COORDINATES])
    reference = reference.set_index("frame_index").sort_index()
    true_FJ2 = reference[_COORDINATES].to_numpy(np.float32).reshape(-1, NUM_JOINTS, 2)
    found_FJ2 = np.full_like(true_FJ2, np.inf)
    for frame in _read_frames(video):
        if frame.frame_index in reference.index:
            row = reference.index.get_loc(frame.frame_index)
            box = reference.iloc[row][_BOX].to_numpy(np.float32)
            found_FJ2[row] = _predict_in_box(estimator, frame, box)
    if np.isinf(found_FJ2).any():
        raise InputError(f"{table}: names a frame that its video does not have.")
    shoulders_F2 = true_FJ2[:, R_SHOULDER] - true_FJ2[:, L_SHOULDER]
    torso_F = SHOULDERS_TO_TORSO * np.linalg.norm(shoulders_F2, axis=1)
    return PoseErrors.measure(found_FJ2, true_FJ2, torso_F.astype(np.float32)).distance_PJ


def _find_video(folder: Path, stem: str) -> Path:
    found = [path for path in folder.rglob(f"{stem}.*") if path.suffix != ".csv"]
    if len(found) != 1:
        raise InputError(f"{folder}: {len(found)} videos are named {stem}.*, expected one.")
    return found[0]


def _read_frames(video: Path) -> Iterator[Frame]:
    for chunk in plan_chunks(probe(str(video)), max_bytes=CHUNK_BYTES):
        yield from decode_chunk(chunk)


def _predict_in_box(estimator: PoseEstimator, frame: Frame, box: FloatArray) -> FloatArray:
    matrix = square_to_crop(upper_body_square(box.tolist()), estimator.input_px)
    crop = warp_crop(frame.rgb_HWC, matrix, estimator.input_px)
    joints_J3 = estimator.predict(crop[None])[0]
    return transform_points(joints_J3[:, :2], invert(matrix))
