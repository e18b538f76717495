"""A small real video, and settings under which untrained models see people in it."""

import numpy as np
import pytest

from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.decoding import Decode, chunk_row
from poseact.analysis.finalize import finalize
from poseact.analysis.plan import make_plan
from poseact.analysis.run import open_run
from poseact.analysis.stages import Watch
from poseact.models.action import load_action
from poseact.models.runtime import load_pose
from poseact.timeline.segments import SegmentRules
from poseact.video.encode import write_video


@pytest.fixture
def make_video(tmp_path):
    """Frames of 320 x 240, 4.5 to a MiB: a bright square wanders over noise."""

    def make(name="yard/walk.mp4", *, num_frames=40, fps=10, gop_size=10):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0)

        def frames():
            for index in range(num_frames):
                rgb_HWC = noise.integers(60, 120, (240, 320, 3), np.uint8)
                rgb_HWC[80:160, 5 * index : 5 * index + 80] = (230, 190, 160)
                yield rgb_HWC

        write_video(path, frames(), fps=fps, gop_size=gop_size)
        return path

    return make


@pytest.fixture
def make_config(models, tmp_path):
    """Settings under which untrained models see people and find segments."""

    def make(*videos, **changes):
        settings = {
            "out": tmp_path / "out",
            "detector": "none",
            "pose_model": models.pose,
            "action_model": models.action,
            "min_pose_confidence": 0.0,
            "rules": SegmentRules(on=0.3, off=0.25, min_mean_score=0.0, min_trunk_confidence=0.0),
            "chunk_mib": 1,
        }
        return AnalyzeConfig(videos=tuple(map(str, videos)), **{**settings, **changes})

    return make


@pytest.fixture
def open_run_of():
    """Start the run of some settings, or take it up."""

    def open_(config):
        pose, action = load_pose(config.pose_model, "cpu"), load_action(config.action_model)
        return open_run(
            config,
            detector_id=None,
            pose_id=pose.model_id,
            action_id=action.model_id,
            actions=action.classes,
        )

    return open_


@pytest.fixture
def watch_here():
    """Decode and watch chunks as the workers do, but in this process and without Ray."""

    def watch(config, run, video, places=None):
        run.work.save_plan(video)
        decode = Decode(work=run.work, frame_timeout_s=config.frame_timeout_s)
        models = None, load_pose(config.pose_model, "cpu")
        watch = Watch(load_models=lambda: models, work=run.work, config=config)
        for place in range(len(video.chunks)) if places is None else places:
            row = chunk_row(video.info.video_id, place)
            watch(decode({name: np.array([value]) for name, value in row.items()}))

    return watch


@pytest.fixture
def analyze_here(open_run_of, watch_here):
    """Analyze as the workers do, but in this process and without Ray."""

    def analyze(config):
        run = open_run_of(config)
        action = load_action(config.action_model)
        for video in make_plan(config.videos, chunk_bytes=1024**2).videos:
            watch_here(config, run, video)
            finalize(video.info.video_id, run, action)
        run.remove_work()
        return run

    return analyze
