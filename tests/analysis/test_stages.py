import av
import numpy as np
import pytest

from poseact.analysis.attempts import MAX_KILLS
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.decoding import Decode, chunk_row
from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.people import People
from poseact.analysis.plan import make_plan
from poseact.analysis.stages import MIN_HEIGHT_PX, Watch
from poseact.models.detection import Detections

SIDE_PX = 64


class PoseInTheMiddle:
    """All joints in the middle of the crop, as confident as the pixel there is bright."""

    input_px = SIDE_PX

    def predict(self, crops_BHWC):
        joints_BJ3 = np.full((len(crops_BHWC), 7, 3), SIDE_PX / 2, np.float32)
        joints_BJ3[..., 2] = crops_BHWC[:, SIDE_PX // 2, SIDE_PX // 2, :1] / 255
        return joints_BJ3


class BrightThings:
    """Takes columns of pixels that are all white for a person."""

    threshold = 0.5
    model_id = "bright"

    def __init__(self):
        self.num_pictures = 0

    def detect(self, pictures):
        self.num_pictures += len(pictures)
        return [self._detect(picture_HWC) for picture_HWC in pictures]

    def _detect(self, picture_HWC):
        is_white_HW = (picture_HWC == 255).all(axis=2)
        rows, columns = np.flatnonzero(is_white_HW.any(1)), np.flatnonzero(is_white_HW.any(0))
        ends = np.flatnonzero(np.diff(columns, append=np.inf) > 1)
        starts = [0, *(ends[:-1] + 1)] if len(columns) else []
        boxes = [
            (columns[a], rows[0], columns[b] + 1, rows[-1] + 1)
            for a, b in zip(starts, ends, strict=False)
        ]
        return Detections(
            boxes_N4=np.array(boxes, np.float32).reshape(-1, 4),
            scores_N=np.full(len(boxes), 0.8, np.float32),
        )


@pytest.fixture
def work(tmp_path):
    work = Work(tmp_path / "out" / "work" / "hash")
    work.prepare()
    for table in ("parts", "receipts"):
        (work.root / table / "v").mkdir()
    return work


@pytest.fixture
def detector():
    return BrightThings()


@pytest.fixture
def make_watch(work, detector, tmp_path):
    def make(with_detector=None, **changes):
        config = AnalyzeConfig(
            videos=("v.mp4",),
            out=tmp_path,
            **{"min_pose_confidence": 0.5, "min_detection_score": detector.threshold, **changes},
        )
        models = (with_detector, PoseInTheMiddle())
        return Watch(load_models=lambda: models, work=work, config=config)

    return make


@pytest.fixture
def watch(make_watch):
    return make_watch()


def decoded(work, video, place):
    work.save_plan(video)
    row = chunk_row(video.info.video_id, place)
    batch = {name: np.array([value]) for name, value in row.items()}
    return Decode(work=work, frame_timeout_s=30)(batch)


def frames_batch(frames_THWC):
    receipt = Receipt(
        chunk_id="v-0", video_id="v", uri="v.mp4", num_planned=9, num_frames=len(frames_THWC)
    )
    return {
        "receipt": np.array([receipt.to_json()]),
        "frames": frames_THWC[None],
        "frame_index": np.arange(len(frames_THWC))[None],
        "pts_s": np.arange(len(frames_THWC))[None] / 10,
        "run": np.zeros((1, len(frames_THWC)), int),
    }


def receipt_in(batch):
    return Receipt.from_json(str(batch["receipt"][0]))


def people_in(work):
    return People.from_tables([work.read_part(work.load_receipt("v", "v-0"))])


def test_chunks_together_have_every_frame_at_its_time(make_video, work):
    path = make_video()
    [video] = make_plan([str(path)], chunk_bytes=12 * 320 * 240 * 3).videos
    with av.open(path) as container:
        times_s = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]

    batches = [decoded(work, video, place) for place in range(len(video.chunks))]

    assert len(batches) == 4
    assert np.concatenate([batch["frame_index"][0] for batch in batches]).tolist() == [*range(40)]
    assert np.concatenate([batch["pts_s"][0] for batch in batches]).tolist() == times_s
    assert all(batch["frames"].shape == (1, 10, 240, 320, 3) for batch in batches)
    last = receipt_in(batches[-1])
    assert (last.num_frames, last.decode_errors, last.last_good_pts_s) == (10, 0, times_s[-1])


def test_a_chunk_that_cannot_be_decoded_says_why_and_has_no_part(make_video, work, watch):
    path = make_video()
    [video] = make_plan([str(path)], chunk_bytes=2**20).videos
    path.unlink()

    batch = decoded(work, video, 0)
    done = receipt_in(watch(batch))

    assert batch["frames"].shape == (1, 0, 240, 320, 3)
    assert done.error_kind == "VideoError"
    assert str(path) in done.error
    assert done.num_frames == 0
    assert work.load_receipt(done.video_id, done.chunk_id) == done
    assert not list((work.root / "parts").rglob("*.parquet"))


@pytest.mark.parametrize("stage", ["decode", "watch"])
def test_a_chunk_that_kills_its_worker_is_set_aside(stage, make_video, work, watch):
    [video] = make_plan([str(make_video())], chunk_bytes=2**20).videos
    chunk = video.chunks[0]
    for place in range(MAX_KILLS):  # left by one whose worker was gone
        (work.attempts.root / f"{chunk.chunk_id}.{stage}.{place}").write_bytes(b"0.2".ljust(32))

    done = receipt_in(watch(decoded(work, video, 0)))

    assert done.error_kind == "Killed"
    assert stage in done.error
    assert chunk.uri in done.error
    assert done.num_frames == 0
    assert done.last_good_pts_s == 0.2
    assert not list(work.attempts.root.iterdir())


def test_joints_are_in_frame_pixels_and_the_box_is_the_frame(work, watch):
    watch(frames_batch(np.full((3, 100, 200, 3), 255, np.uint8)))

    people = people_in(work)
    # the middle of the crop, which the frame's middle row and column cross
    np.testing.assert_allclose(people.joints_NJ3[..., 0], 100, atol=1e-3)
    np.testing.assert_allclose(people.joints_NJ3[..., 1], 50, atol=1e-3)
    assert people.boxes_N4.tolist() == [[0, 0, 200, 100]] * 3
    assert np.isnan(people.detection_score_N).all(), "nobody detected anything"


def test_a_frame_without_confidence_keeps_a_row_with_nobody(work, watch):
    frames_THWC = np.full((3, 100, 100, 3), 255, np.uint8)
    frames_THWC[1] = 0

    watch(frames_batch(frames_THWC))

    people = people_in(work)
    assert people.is_person_N.tolist() == [True, False, True]
    assert people.frame_index_N.tolist() == [0, 1, 2]
    for values in (people.boxes_N4, people.joints_NJ3):
        assert np.isnan(values[1]).all()


def white_people(num_frames, *columns, height=80, step=0):
    """Frames of 200 x 100 with a white person of 30 x ``height`` at each of some columns."""
    frames_THWC = np.zeros((num_frames, 100, 200, 3), np.uint8)
    for frame, picture_HWC in enumerate(frames_THWC):
        for x in columns:
            start = x + frame * step
            picture_HWC[10 : 10 + height, start : start + 30] = 255
    return frames_THWC


def test_everybody_found_has_joints_inside_the_own_box(work, make_watch, detector):
    make_watch(detector)(frames_batch(white_people(5, 20, 120)))

    people = people_in(work)
    assert people.frame_index_N.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert people.boxes_N4[:2].tolist() == [[20, 10, 50, 90], [120, 10, 150, 90]]
    np.testing.assert_allclose(people.joints_NJ3[:2, :, 0], [[35] * 7, [135] * 7], atol=1e-3)
    np.testing.assert_allclose(people.detection_score_N, 0.8)


def test_people_are_looked_for_now_and_then_and_carried_between(work, make_watch, detector):
    make_watch(detector, detect_every_s=0.2)(frames_batch(white_people(6, 20, step=3)))

    assert detector.num_pictures == 4  # frames 0, 2, 4 and the last
    assert people_in(work).boxes_N4[:, 0].tolist() == [20, 23, 26, 29, 32, 35]


def test_too_small_people_are_counted_and_not_looked_at(work, make_watch, detector):
    frames_THWC = white_people(4, 20, height=MIN_HEIGHT_PX - 1)

    receipt = receipt_in(make_watch(detector)(frames_batch(frames_THWC)))

    assert receipt.num_too_small == 4
    assert not people_in(work).is_person_N.any()


def test_small_people_nobody_is_sure_of_are_not_counted(work, make_watch, detector):
    frames_THWC = white_people(4, 20, height=MIN_HEIGHT_PX - 1)

    receipt = receipt_in(make_watch(detector, min_detection_score=0.9)(frames_batch(frames_THWC)))

    assert receipt.num_too_small == 0


def test_an_unsure_find_is_handed_on_for_finalize_to_decide(work, make_watch, detector):
    make_watch(detector, min_detection_score=0.9)(frames_batch(white_people(2, 20)))

    assert people_in(work).is_person_N.tolist() == [True, True]
