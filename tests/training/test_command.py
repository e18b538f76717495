from pathlib import Path

from poseact.cli import parse
from poseact.training.command import command_line
from poseact.training.config import TrainPoseConfig


def test_the_command_gives_the_same_settings_again():
    config = TrainPoseConfig(
        data=(Path("data/flic"), Path("my data")), out=Path("b"), use_gpu=True, seed=3
    )

    line = command_line("train-pose", config)

    assert line == "poseact train-pose --data data/flic 'my data' --out b --seed 3 --use-gpu"
    flags = ["--data", "data/flic", "my data", "--out", "b", "--seed", "3", "--use-gpu"]
    assert parse(TrainPoseConfig, flags, "poseact train-pose") == config
