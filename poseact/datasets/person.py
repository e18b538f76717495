"""One labelled person in one picture: what every pose data set is read into."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from poseact.errors import InputError
from poseact.geometry import FloatArray, ImageArray
from poseact.skeleton import NUM_JOINTS

VISIBLE = 1.0
HIDDEN = 0.5
"""Weight of a joint that the annotator could not see and guessed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledPerson:
    """A person with joints in the pixels of a picture.

    A stored picture may be squashed; ``size_px`` is its true size, to which ``read_picture``
    brings it, and all coordinates are in that picture.
    """

    path: Path
    """File of the stored picture."""

    size_px: tuple[int, int]
    """True width and height."""

    joints_J3: FloatArray
    """x, y in pixels and weight in [0, 1]; weight 0 and NaN for a joint without a label."""

    square: tuple[float, float, float]
    """Centre x, centre y and side of the crop that shows the upper body, pixels."""

    torso_px: float
    """Right shoulder to left hip, pixels: the normaliser of PCK; NaN where unknown."""

    group: str
    """Film or picture; people of one group never go to both sides of a split."""

    split: str = ""
    """Split that the data set itself names."""

    official_split: str = ""
    """FLIC only: the split of the literature, ``train`` or ``test``."""

    swapped_colors: bool = False
    """Red and blue are exchanged in the file."""

    def __post_init__(self) -> None:
        """Check the shape of the joints."""
        if self.joints_J3.shape != (NUM_JOINTS, 3):
            raise ValueError(f"joints must be ({NUM_JOINTS}, 3), got {self.joints_J3.shape}")


def read_picture(person: LabelledPerson) -> ImageArray:
    """Read the picture of a person, colours mended and squash undone.

    Args:
        person: Whose picture to read.

    Returns:
        Picture, (H, W, 3), uint8 RGB, of the person's ``size_px``.

    Raises:
        InputError: If the file is missing or not a picture.
    """
    rgb = read_rgb(person.path)
    if person.swapped_colors:
        rgb = np.ascontiguousarray(rgb[..., ::-1])
    if (rgb.shape[1], rgb.shape[0]) != person.size_px:
        rgb = np.asarray(
            cv2.resize(rgb, person.size_px, interpolation=cv2.INTER_LINEAR), dtype=np.uint8
        )
    return rgb


def read_rgb(path: Path) -> ImageArray:
    """Read a picture as (H, W, 3) uint8 RGB; InputError if that is not possible."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if bgr is None:
        raise InputError(f"{path}: is no picture that OpenCV can read, such as JPEG or PNG.")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def joints_square(joints_J3: FloatArray, *, margin: float = 1.5) -> tuple[float, float, float]:
    """Return centre and side of the square of ``margin`` times the labelled joints' extent."""
    xy = joints_J3[joints_J3[:, 2] > 0, :2]
    low, high = xy.min(axis=0), xy.max(axis=0)
    center = (low + high) / 2
    return float(center[0]), float(center[1]), margin * float((high - low).max())


def data_hash(people: Sequence[LabelledPerson]) -> str:
    """Return the hash of the names and labels of people, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for person in people:
        digest.update(person.path.name.encode())
        digest.update(person.joints_J3.tobytes())
    return digest.hexdigest()[:12]
