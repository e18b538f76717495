from fractions import Fraction

import cv2
import numpy as np
import pandas as pd
import pytest

from poseact.datasets.folders import read_people_folder
from poseact.datasets.scenes import read_scenes, scene_picture
from poseact.errors import EXIT_INCOMPLETE, ConfigError, InputError, OutputError
from poseact.evaluation.label_people import (
    agree,
    agreed_boxes,
    frames_every,
    label_people,
    label_recordings,
)
from poseact.evaluation.label_people_config import LabelPeopleConfig
from poseact.models.detection import Detections
from poseact.video.encode import write_video


class Bright:
    """Finds everything brighter than ``least``; the brighter, the surer."""

    model_id = "bright"

    def __init__(self, least, threshold):
        self.least, self.threshold = least, threshold

    def detect(self, pictures):
        return [self._detect(cv2.blur(picture[..., 1], (3, 3))) for picture in pictures]

    def _detect(self, gray):
        _, _, stats, middles = cv2.connectedComponentsWithStats(
            (gray > self.least).astype(np.uint8)
        )
        found = [
            (gray[int(y), int(x)] / 255, [left, top, left + width, top + height])
            for (left, top, width, height, _), (x, y) in zip(stats[1:], middles[1:], strict=True)
        ]
        found.sort(reverse=True)
        return Detections(
            boxes_N4=np.float32([box for _, box in found]).reshape(-1, 4),
            scores_N=np.float32([score for score, _ in found]),
        )


PEERS = [Bright(40, 0.5), Bright(130, 0.5)]
"""The second passes over what is dim."""


def picture(*squares, width=96, height=64):
    rgb = np.zeros((height, width, 3), np.uint8)
    for x, y, gray in squares:
        rgb[y : y + 24, x : x + 16] = gray
    return rgb


def boxes(*rows):
    scores = np.linspace(0.9, 0.8, len(rows))
    return Detections(boxes_N4=np.float32(rows).reshape(-1, 4), scores_N=np.float32(scores))


def settings(tmp_path, **others):
    given = {"videos": (str(tmp_path / "videos"),), "out": tmp_path / "out", "peers": ("a", "b")}
    return LabelPeopleConfig(**given | others)


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    bright, dim = (8, 20, 250), (60, 20, 100)
    write_video(folder / "fi1.mp4", [picture(bright, dim)] * 10, fps=10)
    write_video(folder / "fi2.mp4", [picture()] * 10, fps=10)
    write_video(folder / "fi3.mp4", [picture(bright)] * 4, fps=10)
    return folder


@pytest.mark.parametrize(
    ("every_s", "expected"),
    [
        pytest.param(0.5, [0, 5, 10, 15, 20], id="every fifth"),
        pytest.param(0.25, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23], id="the first at or after"),
        pytest.param(9, [0], id="the first at least"),
    ],
)
def test_frames_come_at_regular_times_from_the_first_on(tmp_path, every_s, expected):
    times = [107 + i for i in range(25)]
    frames = [picture()] * 25
    write_video(tmp_path / "a.mkv", frames, fps=10, pts=times, time_base=Fraction(1, 10))

    got = [frame.frame_index for frame in frames_every(str(tmp_path / "a.mkv"), every_s)]

    assert got == expected


def test_agreed_boxes_are_means_one_to_one():
    first = boxes([0, 0, 10, 20], [2, 0, 12, 20], [50, 50, 60, 60])
    second = boxes([3, 0, 13, 20], [1, 0, 11, 20], [80, 50, 90, 60])

    got = agreed_boxes(first, second)

    assert got.tolist() == [[0.5, 0, 10.5, 20], [2.5, 0, 12.5, 20]]
    assert agreed_boxes(first, boxes()).shape == (0, 4)


def test_a_find_of_one_detector_alone_is_doubtful_from_its_share_of_the_threshold():
    seen = picture((8, 20, 250), (40, 20, 110), (70, 20, 70))

    people = agree(PEERS, seen, certain_share=0.8, doubtful_share=0.8)

    # at 0.4 of 255 the square of 110 is seen, that of 70 is not
    assert people.boxes_N4 == pytest.approx(np.float32([[8, 20, 24, 44]]), abs=1.5)
    assert people.doubtful_M4 == pytest.approx(np.float32([[40, 20, 56, 44]]), abs=1.5)
    lower = agree(PEERS, seen, certain_share=0.8, doubtful_share=0.5)
    assert len(lower.doubtful_M4) == 2


def test_recordings_become_a_folder_that_training_reads(videos, tmp_path, capsys):
    listed = tmp_path / "sources.txt"
    listed.write_text("http://x/A\nfi1: 0\nfi2: 0\n")

    code = label_recordings(settings(tmp_path, recordings=listed, val=("fi3",)), PEERS)

    assert code == 0
    train, val = (read_scenes(tmp_path / "out", split) for split in ("train", "val"))
    assert [scene.path.name for scene in train] == [
        "fi1_000000.jpg",
        "fi1_000005.jpg",
        "fi2_000000.jpg",
        "fi2_000005.jpg",
    ]
    assert [scene.group for scene in train] == ["A"] * 4
    assert [scene.group for scene in val] == ["fi3"]
    assert [len(scene.boxes_N4) for scene in train] == [1, 1, 0, 0]
    assert [len(scene.ignored_M4) for scene in train] == [1, 1, 0, 0]
    assert scene_picture(train[0])[32, 16] == pytest.approx([250] * 3, abs=8)
    assert "train: 1 recordings, 4 pictures, 2 of which hold nobody; 2 people, 2 doubtful" in (
        capsys.readouterr().out
    )


def test_nobody_in_the_folder_has_joints(videos, tmp_path):
    label_recordings(settings(tmp_path), PEERS)

    people = pd.read_csv(tmp_path / "out" / "people.csv")
    assert not people[[f"j{joint}v" for joint in range(1, 8)]].to_numpy().any()
    with pytest.raises(InputError, match="nobody in split 'train'"):
        read_people_folder(tmp_path / "out", "train")


def test_recordings_of_nobody_make_a_folder_too(videos, tmp_path):
    label_recordings(settings(tmp_path, videos=(str(videos / "fi2.mp4"),), val=("fi2",)), PEERS)

    assert [scene.is_empty for scene in read_scenes(tmp_path / "out", "val")] == [True, True]


def test_large_frames_are_shrunk(tmp_path):
    frame = picture((200, 200, 250), width=1280, height=720)
    frame[200:424, 200:328] = 250
    write_video(tmp_path / "a.mp4", [frame], fps=10)

    label_recordings(settings(tmp_path, videos=(str(tmp_path / "a.mp4"),), val=("a",)), PEERS)

    (scene,) = read_scenes(tmp_path / "out", "val")
    assert scene.size_px == (640, 360)
    assert scene.boxes_N4 == pytest.approx(np.float32([[100, 100, 164, 212]]), abs=1.5)


def test_a_broken_video_is_named_and_the_others_are_labelled(videos, tmp_path, capsys):
    (videos / "broken.mp4").write_text("no video")

    assert label_recordings(settings(tmp_path), PEERS) == EXIT_INCOMPLETE

    assert "broken.mp4" in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "out" / "pictures.csv").recording) == {"fi1", "fi2", "fi3"}


def test_a_folder_in_use_is_not_written_to(videos, tmp_path):
    label_recordings(settings(tmp_path), PEERS)

    with pytest.raises(OutputError, match="new folder"):
        label_recordings(settings(tmp_path), PEERS)


def test_an_unknown_recording_lists_the_known_ones(videos, tmp_path):
    with pytest.raises(ConfigError, match=r"'gate'.*fi1, fi2, fi3"):
        label_recordings(settings(tmp_path, val=("gate",)), PEERS)


def test_videos_of_the_same_name_are_refused(videos, tmp_path):
    (videos / "b").mkdir()
    write_video(videos / "b" / "fi1.mp4", [picture()], fps=10)

    with pytest.raises(InputError, match="several are named fi1"):
        label_recordings(settings(tmp_path), PEERS)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"videos": ()}, id="no video"),
        pytest.param({"every_s": 0}, id="no time between frames"),
        pytest.param({"certain_share": 1.5}, id="surer than sure"),
        pytest.param({"doubtful_share": 0.9}, id="doubtful, yet surer than certain"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        settings(tmp_path, **wrong)


def test_a_published_detector_agrees_with_itself(data_dir, tmp_path):
    peer = f"fastestdet:{data_dir / 'peers' / 'fastestdet' / 'FastestDet.onnx'}"
    clip = data_dir / "videos" / "cctv_fight" / "noFight" / "nofi011.mp4"

    code = label_people(
        LabelPeopleConfig(
            videos=(str(clip),),
            out=tmp_path / "out",
            peers=(peer, peer),
            every_s=1.0,
            val=("nofi011",),
            doubtful_share=0.8,
        )
    )

    assert code == 0
    scenes = read_scenes(tmp_path / "out", "val")
    # two men stand in a hall; what both find, at the threshold of both, leaves no doubt
    assert [len(scene.boxes_N4) >= 2 for scene in scenes] == [True, True]
    assert [len(scene.ignored_M4) for scene in scenes] == [0, 0]
