"""The video protocol: frames of real recordings against reference joints of the main person.

``FOLDER/reference_joints/<stem>.csv`` (``frame_index, x0..y1, j1x..j7y``) belongs to the video
with that stem anywhere below ``FOLDER``.

Shape letters: P all frames, F frames of one video, J joints.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from poseact.datasets.folders import read_table
from poseact.errors import InputError
from poseact.evaluation.samples import CROP_PX, PoseSamples, each_transformed
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


def read_video_samples(estimator: PoseEstimator, folder: Path) -> PoseSamples:
    """Run a pose model on the frames that a folder of videos has reference joints for.

    Args:
        estimator: The model.
        folder: Holds ``reference_joints/`` and, anywhere below, the videos.

    Returns:
        A sample for each frame, grouped by recording; the floor is the mean pose of them all.

    Raises:
        InputError: If there are no references, a video is missing or ambiguous, or a frame that
            a reference names cannot be decoded.
    """
    tables = sorted((folder / "reference_joints").glob("*.csv"))
    if not tables:
        raise InputError(f"{folder / 'reference_joints'}: holds no CSV of reference joints.")
    references = [read_table(path, ["frame_index", *_BOX, *_COORDINATES]) for path in tables]
    found_PJ3 = np.concatenate(
        [
            _predict_video(estimator, _find_video(folder, path.stem), reference, path)
            for path, reference in zip(tables, references, strict=True)
        ]
    )
    everything = pd.concat(references)
    true_PJ2 = everything[_COORDINATES].to_numpy(np.float32).reshape(-1, NUM_JOINTS, 2)
    to_crop_P23 = np.stack(
        [
            square_to_crop(upper_body_square(box), CROP_PX)
            for box in everything[_BOX].to_numpy().tolist()
        ]
    )
    return PoseSamples(
        found_PJ3=found_PJ3,
        true_PJ2=true_PJ2,
        torso_P=_torsos(true_PJ2),
        to_crop_P23=to_crop_P23,
        mean_pose_J2=each_transformed(true_PJ2, to_crop_P23).mean(axis=0),
        groups=[
            path.stem
            for path, reference in zip(tables, references, strict=True)
            for _ in range(len(reference))
        ],
    )


def _torsos(true_PJ2: FloatArray) -> FloatArray:
    shoulders_P2 = true_PJ2[:, R_SHOULDER] - true_PJ2[:, L_SHOULDER]
    return np.asarray(SHOULDERS_TO_TORSO * np.linalg.norm(shoulders_P2, axis=1), np.float32)


def _predict_video(
    estimator: PoseEstimator, video: Path, reference: pd.DataFrame, table: Path
) -> FloatArray:
    found_FJ3 = np.full((len(reference), NUM_JOINTS, 3), np.nan, np.float32)
    row_of = {frame: row for row, frame in enumerate(reference["frame_index"])}
    boxes_F4 = reference[_BOX].to_numpy(np.float32)
    for frame in _read_frames(video):
        row = row_of.get(frame.frame_index)
        if row is not None:
            found_FJ3[row] = _predict_in_box(estimator, frame, boxes_F4[row])
    if np.isnan(found_FJ3).any():
        raise InputError(f"{table}: names a frame that {video} does not have.")
    return found_FJ3


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
    joints_J3: FloatArray = estimator.predict(crop[None])[0]
    joints_J3[:, :2] = transform_points(joints_J3[:, :2], invert(matrix))
    return joints_J3
