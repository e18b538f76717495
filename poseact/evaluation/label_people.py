"""`poseact label-people`: pictures with boxes out of recordings, for training a detector.

Of frames at regular times two detectors of others are asked. Whom both find is labelled; a find
of only one of them becomes a region to ignore, so that nothing is learned from it either way.

Shape letters: N people, M regions, A and B finds of the two detectors.
"""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from poseact.datasets.recordings import is_held_out, read_recordings
from poseact.datasets.scenes import BOX
from poseact.errors import EXIT_INCOMPLETE, ConfigError, InputError, OutputError, VideoError
from poseact.evaluation.detection import HIT_IOU
from poseact.evaluation.detector_peer import load_detector_peer
from poseact.evaluation.label_people_config import LabelPeopleConfig
from poseact.geometry import FloatArray, ImageArray, box_iou
from poseact.models.detection import Detections, Detector
from poseact.skeleton import NUM_JOINTS
from poseact.video.chunks import plan_chunks
from poseact.video.decode import Frame, decode_chunk
from poseact.video.find import find_videos
from poseact.video.probe import probe

LONGEST_PX: Final = 640
"""Longer side of the pictures: a detector of small input reads them at half the cost of 720p."""

JPEG_QUALITY: Final = 92

CHUNK_BYTES: Final = 64 << 20

_PICTURE_COLUMNS = ["file", "split", "width", "height", "num_people", "recording"]
_NO_JOINTS = {f"j{joint}{axis}": 0 for joint in range(1, NUM_JOINTS + 1) for axis in "xyv"}
_PERSON_COLUMNS = ["file", "person", *BOX, "crowd", *_NO_JOINTS, "torso_px"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgreedPeople:
    """What two detectors say of one picture: boxes x0, y0, x1, y1 in its pixels."""

    boxes_N4: FloatArray
    """People whom both found: the mean of both boxes."""

    doubtful_M4: FloatArray
    """Finds of only one of them."""


def label_people(config: LabelPeopleConfig) -> int:
    """Label recordings, print how many; return the exit code, ``EXIT_INCOMPLETE`` if one is broken.

    Raises:
        ConfigError: If a peer or a recording of ``val`` is unknown.
        InputError: If there is no video, two have the same name, or a peer cannot be read.
        OutputError: If the folder is in use or cannot be written.
    """
    return label_recordings(config, [load_detector_peer(name) for name in config.peers])


def label_recordings(config: LabelPeopleConfig, peers: Sequence[Detector]) -> int:
    """Do what ``label_people`` does, with two detectors at hand instead of ``config.peers``."""
    recording_of = _recordings(config)
    _make_folder(config.out)
    labels = _Labels(config.out)
    num_broken = 0
    for video, recording in recording_of.items():
        is_val = recording in config.val if config.val else is_held_out(recording)
        try:
            for frame in frames_every(str(video), config.every_s):
                picture_HWC = _fitted(frame.rgb_HWC)
                people = agree(
                    peers,
                    picture_HWC,
                    certain_share=config.certain_share,
                    doubtful_share=config.doubtful_share,
                )
                name = f"{video.stem}_{frame.frame_index:06}.jpg"
                labels.add(name, picture_HWC, people, "val" if is_val else "train", recording)
        except VideoError as error:
            print(f"skipped: {error}", file=sys.stderr)
            num_broken += 1
    labels.write_tables()
    print(labels.summary())
    return EXIT_INCOMPLETE if num_broken else 0


def frames_every(uri: str, every_s: float) -> Iterator[Frame]:
    """Yield the first frame of a video, then the first at or after each ``every_s`` seconds.

    Raises:
        VideoError: While iterating, if the file cannot be decoded.
    """
    info = probe(uri)
    start_s, next_s = float(info.start_pts * info.time_base), 0.0
    for chunk in plan_chunks(info, max_bytes=CHUNK_BYTES):
        for frame in decode_chunk(chunk):
            passed_s = frame.pts_s - start_s
            if passed_s >= next_s:
                yield frame
                next_s = every_s * (passed_s // every_s + 1)


def agree(
    peers: Sequence[Detector],
    picture_HWC: ImageArray,
    *,
    certain_share: float,
    doubtful_share: float,
) -> AgreedPeople:
    """Ask two detectors who is in a picture.

    Args:
        peers: The two detectors.
        picture_HWC: Picture, uint8 RGB.
        certain_share: Share of a detector's threshold from which its finds count.
        doubtful_share: The same for finds that the other one does not confirm.
    """
    found = [peer.detect([picture_HWC])[0] for peer in peers]
    first, second = _above_share(peers, found, certain_share)
    boxes_N4 = agreed_boxes(first, second)
    seen_M4 = np.concatenate([one.boxes_N4 for one in _above_share(peers, found, doubtful_share)])
    is_other_M = box_iou(seen_M4, boxes_N4).max(axis=1, initial=0) < HIT_IOU
    return AgreedPeople(boxes_N4=boxes_N4, doubtful_M4=seen_M4[is_other_M])


def _above_share(
    peers: Sequence[Detector], found: Sequence[Detections], share: float
) -> list[Detections]:
    return [one.above(share * peer.threshold) for one, peer in zip(found, peers, strict=True)]


def agreed_boxes(first: Detections, second: Detections) -> FloatArray:
    """Return the mean boxes, (N, 4), of finds that overlap by an IoU of at least 0.5, one to one.

    Of people close together, those pairs are taken whose IoUs have the largest sum.
    """
    iou_AB = box_iou(first.boxes_N4, second.boxes_N4)
    iou_AB[iou_AB < HIT_IOU] = 0
    rows, columns = linear_sum_assignment(iou_AB, maximize=True)
    is_pair = iou_AB[rows, columns] > 0
    pairs = first.boxes_N4[rows[is_pair]], second.boxes_N4[columns[is_pair]]
    return np.asarray(np.mean(pairs, axis=0), np.float32)


class _Labels:
    """The folder being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures: list[dict[str, Any]] = []
        self._people: list[dict[str, Any]] = []

    def add(
        self, name: str, picture_HWC: ImageArray, people: AgreedPeople, split: str, recording: str
    ) -> None:
        """Write a picture, and keep its labels for the tables."""
        _write_jpeg(self._folder / "images" / name, picture_HWC)
        height, width = picture_HWC.shape[:2]
        row = (name, split, width, height, len(people.boxes_N4), recording)
        self._pictures.append(dict(zip(_PICTURE_COLUMNS, row, strict=True)))
        boxes = (
            np.concatenate([people.boxes_N4, people.doubtful_M4]).astype(float).round(1).tolist()
        )
        for person, box in enumerate(boxes):
            crowd = int(person >= len(people.boxes_N4))
            sides = dict(zip(BOX, box, strict=True))
            self._people.append({"file": name, "person": person, **sides, "crowd": crowd})

    def write_tables(self) -> None:
        """Write ``pictures.csv`` and ``people.csv``; OutputError if that is not possible."""
        pictures = pd.DataFrame(self._pictures, columns=_PICTURE_COLUMNS)
        people = pd.DataFrame(self._people, columns=_PERSON_COLUMNS).assign(**_NO_JOINTS)
        try:
            pictures.to_csv(self._folder / "pictures.csv", index=False)
            people.to_csv(self._folder / "people.csv", index=False)
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written: {error.strerror}.") from error

    def summary(self) -> str:
        """Say how much there is of each split."""
        pictures = pd.DataFrame(self._pictures, columns=_PICTURE_COLUMNS)
        people = pd.DataFrame(self._people, columns=_PERSON_COLUMNS)
        doubtful = people[people.crowd == 1].groupby("file").size()
        pictures = pictures.assign(num_doubtful=pictures.file.map(doubtful).fillna(0).astype(int))
        return "\n".join(
            f"{split}: {part.recording.nunique()} recordings, {len(part)} pictures, "
            f"{(part.num_people + part.num_doubtful == 0).sum()} of which hold nobody; "
            f"{part.num_people.sum()} people, {part.num_doubtful.sum()} doubtful ones to ignore"
            for split, part in pictures.groupby("split")
        )


def _recordings(config: LabelPeopleConfig) -> dict[Path, str]:
    """Return the recording of each video."""
    videos = [Path(video) for video in find_videos(config.videos)]
    stems = [video.stem for video in videos]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise InputError(f"videos: several are named {min(twice)}; label them one by one.")
    listed = {} if config.recordings is None else read_recordings(config.recordings)
    recording_of = {video: listed.get(video.stem, video.stem) for video in videos}
    unknown = set(config.val) - set(recording_of.values())
    if unknown:
        known = ", ".join(sorted(set(recording_of.values())))
        raise ConfigError(f"val: no video is of {min(unknown)!r}; recordings are: {known}.")
    return recording_of


def _make_folder(folder: Path) -> None:
    try:
        (folder / "images").mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"{folder / 'images'}: cannot be made: {error.strerror}. Name a new folder by --out."
        ) from error


def _fitted(picture_HWC: ImageArray) -> ImageArray:
    scale = LONGEST_PX / max(picture_HWC.shape)
    if scale >= 1:
        return picture_HWC
    height, width = (round(side * scale) for side in picture_HWC.shape[:2])
    shrunk_HWC = cv2.resize(picture_HWC, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk_HWC, np.uint8)


def _write_jpeg(path: Path, picture_HWC: ImageArray) -> None:
    bgr_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    try:
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
