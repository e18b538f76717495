"""UTD-MHAD: 27 actions of 8 people as Kinect skeletons, seen by a camera as seven 2-D joints.

Source:
    Chen, Jafari and Kehtarnavaz, UTD-MHAD: a multimodal dataset for human action recognition
    utilizing a depth camera and a wearable inertial sensor, 2015.

Shapes: T frames, J = 7 joints in skeleton order.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.datasets.sequences import ActionSequence, ActionSequences
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.skeleton import L_SHOULDER, R_SHOULDER
from poseact.timeline.decide import OTHER

FRAMES_PER_S: Final = 30.0

TRAINING_PEOPLE: Final = ("s1", "s3", "s5", "s7")
"""The published cross-subject protocol; everybody else is for testing."""

UTD_PROTOCOL: Final = (
    "UTD-MHAD, 27 actions, people 1, 3, 5, 7 for training and 2, 4, 6, 8 for testing; seven joints "
    "projected to two dimensions from the Kinect's place, in training turned aside as well; one "
    "answer per sequence"
)

TRAINING_YAWS_DEG: Final = (-30.0, 0.0, 30.0)
"""By how much people are turned in training; in tests not at all. Trained on two of the training
people and measured on the other two, turning changes nothing from the front (92.9 % with seven
angles up to 30 degrees, 93.1 % without), and from 30 degrees aside 92.4 % are right instead of
76.1 %."""

UTD_ACTIONS: Final = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle clockwise",
    "right hand draw circle counter clockwise",
    "right hand draw triangle",
    "bowling",
    "front boxing",
    "baseball swing from right",
    "tennis forehand swing",
    "two arm curl",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch",
    "right hand pick up and throw",
    "jog in place",
    "walk in place",
    "sit to stand",
    "stand to sit",
    "forward lunge",
    "squat with stretched arms",
)
"""Names of a1 to a27. Some name a side, so mirrored people are no further examples."""

_KINECT_JOINTS: Final = [6, 5, 4, 0, 8, 9, 10]  # of our seven, in skeleton order
_KINECT_SHAPE = (20, 3)
_FILE_NAME = re.compile(r"a(\d+)_(s\d+)_t\d+_skeleton\.mat")


def read_utd_mhad(folder: Path, *, yaws_deg: Sequence[float] = (0.0,)) -> ActionSequences:
    """Read the skeletons as a camera in the place of the Kinect sees them.

    Args:
        folder: Holds ``aA_sS_tT_skeleton.mat``.
        yaws_deg: Every performance is seen once per angle, turned by it about the vertical through
            the middle of its shoulders, before it is projected to two dimensions.

    Returns:
        Sequences by file name, then angle; x and y over depth, y down. The group is the person,
        ``s1`` to ``s8``.

    Raises:
        InputError: If there is no such file or one cannot be read.
    """
    paths = sorted(folder.glob("*_skeleton.mat"))
    if not paths:
        raise InputError(f"{folder}: holds no file aA_sS_tT_skeleton.mat.")
    sequences = [
        _sequence(path, skeleton_TJ3, yaw_deg)
        for path, skeleton_TJ3 in ((path, _read_skeleton(path)) for path in paths)
        for yaw_deg in yaws_deg
    ]
    return ActionSequences(sequences=tuple(sequences), classes=(*UTD_ACTIONS, OTHER))


def cross_subject(folder: Path) -> tuple[ActionSequences, ActionSequences]:
    """Read and split by ``UTD_PROTOCOL``: those to train on, turned each way, and those to test.

    Raises:
        InputError: As ``read_utd_mhad``, or if either side has nobody.
    """
    turned, straight = read_utd_mhad(folder, yaws_deg=TRAINING_YAWS_DEG), read_utd_mhad(folder)
    train = turned.take(np.isin(turned.groups_N, TRAINING_PEOPLE))
    test = straight.take(~np.isin(straight.groups_N, TRAINING_PEOPLE))
    if not len(train) or not len(test):
        raise InputError(
            f"{folder}: holds {len(train)} sequences of people 1, 3, 5, 7 and {len(test)} of "
            "others; the cross-subject protocol needs both."
        )
    return train, test


def project(skeleton_TJ3: npt.NDArray[np.float64], yaw_deg: float = 0.0) -> FloatArray:
    """Turn a person about the vertical and take a picture of each frame.

    Args:
        skeleton_TJ3: x, y up and depth in metres from the camera, (T, 7, 3), not mirrored.
        yaw_deg: Angle of the turn.

    Returns:
        x and y over depth as in a picture, y down, and confidence 1, (T, 7, 3).
    """
    axis_3 = skeleton_TJ3[:, [L_SHOULDER, R_SHOULDER]].mean(axis=(0, 1)) * (1, 0, 1)
    cos, sin = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    turn_33 = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    turned_TJ3 = (skeleton_TJ3 - axis_3) @ turn_33.T + axis_3
    joints_TJ3 = np.ones_like(turned_TJ3, dtype=np.float32)
    # Kinect's x grows to the person's right and its y upwards: a picture's do the opposite
    joints_TJ3[..., :2] = -turned_TJ3[..., :2] / turned_TJ3[..., 2:]
    return joints_TJ3


def _sequence(path: Path, skeleton_TJ3: npt.NDArray[np.float64], yaw_deg: float) -> ActionSequence:
    action, person = _parse_name(path)
    return ActionSequence(
        joints_TJ3=project(skeleton_TJ3, yaw_deg),
        pts_s_T=np.arange(len(skeleton_TJ3)) / FRAMES_PER_S,
        label=action - 1,
        group=person,
    )


def _parse_name(path: Path) -> tuple[int, str]:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None or not 1 <= int(match[1]) <= len(UTD_ACTIONS):
        raise InputError(f"{path}: is not named aA_sS_tT_skeleton.mat with A in 1..27.")
    return int(match[1]), match[2]


def _read_skeleton(path: Path) -> npt.NDArray[np.float64]:
    from scipy.io import loadmat  # slow to import, for this alone

    try:
        skeleton_KCT = np.asarray(loadmat(path)["d_skel"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no skeleton file of UTD-MHAD: {error}") from error
    if skeleton_KCT.shape[:2] != _KINECT_SHAPE or not skeleton_KCT.size:
        raise InputError(f"{path}: d_skel must have shape (20, 3, T), got {skeleton_KCT.shape}.")
    return skeleton_KCT.transpose(2, 0, 1)[:, _KINECT_JOINTS]
