"""The video protocol: frames of real recordings against reference joints of the main person.

``FOLDER/reference_joints/<stem>.csv`` (``frame_index, x0..y1, j1x..j7y``) belongs to the video
with that stem anywhere below ``FOLDER``.

Shape letters: P frames, each of one person, J joints.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from poseact.datasets.folders import read_table
from poseact.errors import InputError
from poseact.evaluation.subjects import CROP_PX, Subjects, mean_pose
from poseact.geometry import FloatArray, ImageArray, square_to_crop, upper_body_square
from poseact.skeleton import L_SHOULDER, NUM_JOINTS, R_SHOULDER
from poseact.video.chunks import plan_chunks
from poseact.video.decode import Frame, decode_chunk
from poseact.video.probe import probe

SHOULDERS_TO_TORSO = 1.3
"""Torso length over shoulder width: the normaliser where no hip is labelled."""

CHUNK_BYTES = 64 << 20

_BOX = ["x0", "y0", "x1", "y1"]
_COORDINATES = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]


def read_video_subjects(folder: Path) -> Subjects:
    """Read which frames of recordings have reference joints.

    Args:
        folder: Holds ``reference_joints/`` and, anywhere below, the videos.

    Returns:
        A row for each frame, grouped by recording; the floor is the mean pose of them all.
        Reading a frame that a reference names but the video lacks is an InputError.

    Raises:
        InputError: If there are no references, or a video is missing or ambiguous.
    """
    frames = _read_references(folder)
    true_PJ2 = frames[_COORDINATES].to_numpy(np.float32).reshape(-1, NUM_JOINTS, 2)
    squares = [upper_body_square(box) for box in frames[_BOX].to_numpy().tolist()]
    to_crop_P23 = np.stack([square_to_crop(square, CROP_PX) for square in squares])

    def read(rows: Iterable[int]) -> Iterator[tuple[int, ImageArray]]:
        for video, wanted in frames.iloc[list(rows)].groupby("video", sort=False):
            yield from _read_frames(Path(str(video)), wanted["frame_index"])

    count = frames["stem"].nunique()
    labels = frames[["stem", "frame_index", *_COORDINATES]].to_csv()
    return Subjects(
        description=f"video, {count} recordings of {folder.name}, crops from boxes",
        data_hash=hashlib.sha256(labels.encode()).hexdigest()[:12],
        group_kind="recording",
        groups=frames["stem"].tolist(),
        names=[f"frame {index}" for index in frames["frame_index"]],
        squares=squares,
        true_PJ2=true_PJ2,
        torso_P=_torsos(true_PJ2),
        to_crop_P23=to_crop_P23,
        mean_pose_J2=mean_pose(true_PJ2, to_crop_P23),
        read=read,
    )


def _read_references(folder: Path) -> pd.DataFrame:
    tables = sorted((folder / "reference_joints").glob("*.csv"))
    references = [
        read_table(path, ["frame_index", *_BOX, *_COORDINATES]).assign(
            stem=path.stem, video=str(_find_video(folder, path.stem))
        )
        for path in tables
    ]
    if not sum(map(len, references)):
        raise InputError(f"{folder / 'reference_joints'}: holds no CSV with reference joints.")
    return pd.concat(references, ignore_index=True)


def _torsos(true_PJ2: FloatArray) -> FloatArray:
    shoulders_P2 = true_PJ2[:, R_SHOULDER] - true_PJ2[:, L_SHOULDER]
    return np.asarray(SHOULDERS_TO_TORSO * np.linalg.norm(shoulders_P2, axis=1), np.float32)


def _find_video(folder: Path, stem: str) -> Path:
    found = [path for path in folder.rglob(f"{stem}.*") if path.suffix != ".csv"]
    if len(found) != 1:
        raise InputError(f"{folder}: {len(found)} videos are named {stem}.*, expected one.")
    return found[0]


def _read_frames(video: Path, frame_of_row: "pd.Series[int]") -> Iterator[tuple[int, ImageArray]]:
    """Give the rows of one video, in the order of its frames, with their pictures."""
    rows_of: dict[int, list[int]] = {}
    for row, frame_index in frame_of_row.items():
        rows_of.setdefault(frame_index, []).append(int(str(row)))
    for frame in _decode(video):
        for row in rows_of.pop(frame.frame_index, ()):
            yield row, frame.rgb_HWC
        if not rows_of:
            return
    raise InputError(
        f"{video}: has no frame {min(rows_of)}, which reference_joints/{video.stem}.csv names."
    )


def _decode(video: Path) -> Iterator[Frame]:
    for chunk in plan_chunks(probe(str(video)), max_bytes=CHUNK_BYTES):
        yield from decode_chunk(chunk)
