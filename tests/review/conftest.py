"""Small real recordings, and finished runs over them whose timelines are made up."""

from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pytest

from poseact.skeleton import HEAD, L_ELBOW, L_SHOULDER, L_WRIST, R_ELBOW, R_SHOULDER, R_WRIST
from poseact.timeline.schema import timeline_schema
from poseact.timeline.tables import write_timeline, write_video_row
from poseact.video.probe import probe, video_id_of

WIDTH, HEIGHT = 320, 240
ACTIONS = ["hello", "other"]
NAN = float("nan")


def scene(index):
    """Grey, a little brighter in every frame, with a fine pattern where the head will be."""
    rgb_HWC = np.full((HEIGHT, WIDTH, 3), 90 + index, np.uint8)
    rgb_HWC[60:100, 140:180] = 20
    rgb_HWC[60:100:4, 140:180] = rgb_HWC[61:100:4, 140:180] = 230
    return rgb_HWC


@pytest.fixture
def make_recording(tmp_path):
    """Write scenes by PyAV, shown at any ticks, turned if need be."""

    def make(name="gate.mp4", *, pts=range(24), time_base=Fraction(1, 12), matrix=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(path, "w", options=options) as container:
            stream = container.add_stream("libx264", 12, options={"crf": "10", "g": "12"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.time_base = stream.codec_context.time_base = time_base
            if matrix is not None:
                stream.set_display_matrix(matrix)
            for index, tick in enumerate(pts):
                frame = av.VideoFrame.from_ndarray(scene(index), format="rgb24")
                frame.pts, frame.time_base = tick, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def joints():
    """A person who faces the camera, 60 px between the shoulders, the head on the pattern."""
    joints_J3 = np.full((7, 3), 0.9, np.float32)
    joints_J3[HEAD, :2] = (160, 80)
    joints_J3[L_SHOULDER, :2], joints_J3[R_SHOULDER, :2] = (190, 120), (130, 120)
    joints_J3[L_ELBOW, :2], joints_J3[R_ELBOW, :2] = (206, 160), (114, 160)
    joints_J3[L_WRIST, :2], joints_J3[R_WRIST, :2] = (206, 200), (114, 200)
    return joints_J3


@pytest.fixture
def make_run(tmp_path, joints):
    """Write the tables of a finished run in which track 3 stands in some frames of each video."""

    def make(*paths, seen=range(24), analyzed=range(24), status="ok", error=None, name="out"):
        out = tmp_path / name
        for path in paths:
            video_id = video_id_of(str(path))
            times = [] if status == "failed" else probe_times(path)
            rows = [
                timeline_row(video_id, index, times[index], joints if index in seen else None)
                for index in analyzed
                if index < len(times)
            ]
            if rows:
                table = pa.Table.from_pylist(rows, schema=timeline_schema(ACTIONS))
                write_timeline(out, table, video_id=video_id, camera_id="gate", start_utc=None)
            row = {"video_id": video_id, "uri": str(path), "status": status, "error": error}
            counts = {"frames_analyzed": len(rows), "boxes_too_small": 0}
            write_video_row(out, {**row, **counts, "decode_s": 0, "watch_s": 0, "run_id": "r"})
        return out

    return make


def probe_times(path):
    info = probe(str(path))
    with av.open(path) as container:
        packets = [packet.pts for packet in container.demux(video=0) if packet.size]
    return [float(pts * info.time_base) for pts in sorted(packets)]


def timeline_row(video_id, frame_index, pts_s, joints_J3):
    is_seen = joints_J3 is not None
    return {
        "video_id": video_id,
        "frame_index": frame_index,
        "pts_s": pts_s,
        "track_id": 3 if is_seen else None,
        "bbox_xyxy_px": [90, 40, 230, 220] if is_seen else [NAN] * 4,
        "detection_score": 0.8 if is_seen else NAN,
        "joints": joints_J3.ravel().tolist() if is_seen else [NAN] * 21,
        "action": "hello" if is_seen else "",
        "score": 0.91 if is_seen else NAN,
        "scores": [0.91, 0.09] if is_seen else [NAN] * 2,
        "config_hash": "c",
        "model_id": "m",
    }
