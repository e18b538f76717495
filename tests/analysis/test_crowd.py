"""Five rendered people who cross, and the shipped models: all are followed, each as one."""

import numpy as np
import pytest

from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.job import analyze
from poseact.analysis.plan import make_plan
from poseact.datasets.rendered import (
    Actor,
    Camera,
    Scene,
    render_recording,
    sample_light,
    sample_person,
)
from poseact.evaluation.tracks import Tracks, measure_tracks
from poseact.timeline.tables import read_timeline
from poseact.video.encode import write_video

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

DURATION_S, FPS = 20, 12
CHUNK_MIB = 8
"""A dozen frames of 640 x 360."""

# who: height in pixels, where it stands, when it comes and goes, from which side
PEOPLE = [
    (170, 330, 0.2, 12.0, "left"),
    (190, 180, 1.0, 14.0, "right"),
    (210, 460, 2.0, 10.0, "left"),
    (235, 250, 3.2, 16.0, "right"),
    (260, 400, 4.4, 17.5, "left"),
]


def crossing():
    """Five people before one camera: who is nearer is larger, stands lower and hides others."""
    actors = tuple(
        Actor(
            look=sample_person(np.random.default_rng(50 + k)),
            stature_px=stature,
            place_px=(x, 90 + 0.98 * stature),
            enter_s=enter_s,
            leave_s=leave_s,
            from_side=side,
            depth=stature,
        )
        for k, (stature, x, enter_s, leave_s, side) in enumerate(PEOPLE)
    )
    light = sample_light(np.random.default_rng(4))
    return Scene(
        width=640, height=360, actors=actors, light=light, camera=Camera(noise=2.5), seed=4
    )


def is_in_the_picture(person):
    """Whoever comes or goes is not yet, or no longer, there as a sliver at the border."""
    x0, _, x1, _ = person.box_xyxy
    return x1 - x0 >= 0.15 * PEOPLE[person.actor][0]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """The video, and who is where in each of its frames."""
    path = tmp_path_factory.mktemp("crowd") / "hall.mp4"
    frames, rows = [], []
    for index, (_, rgb_HWC, people) in enumerate(
        render_recording(crossing(), duration_s=DURATION_S, fps=FPS)
    ):
        frames.append(rgb_HWC)
        rows += [(index, one.actor, one.box_xyxy) for one in people if is_in_the_picture(one)]
    write_video(path, frames, fps=FPS, gop_size=FPS)
    frame_index, actor, boxes = zip(*rows, strict=True)
    return path, Tracks(
        frame_index_N=np.array(frame_index),
        track_N=np.array(actor),
        boxes_N4=np.array(boxes, np.float32),
    )


@pytest.mark.usefixtures("ray_cluster")
def test_five_people_who_cross_are_followed_through_every_chunk(recording, tmp_path):
    path, true = recording
    config = AnalyzeConfig(videos=(str(path),), out=tmp_path / "out", chunk_mib=CHUNK_MIB)

    assert analyze(config) == 0

    timeline = read_timeline(config.out).dropna(subset="track_id")
    found = Tracks(
        frame_index_N=timeline["frame_index"].to_numpy(),
        track_N=timeline["track_id"].to_numpy(int),
        boxes_N4=np.stack(timeline["bbox_xyxy_px"]).astype(np.float32),
    )
    figures = measure_tracks(true, found, duration_s=DURATION_S)
    chunks = make_plan([str(path)], chunk_bytes=CHUNK_MIB * 2**20).videos[0].chunks
    borders = {chunk.first_frame_index for chunk in chunks}
    assert figures.idf1 >= 0.95, figures
    assert len(borders) >= 20
    assert not borders & set(figures.switch_frames)
