import av
import numpy as np
import pytest

from poseact.analysis.ledger import MAX_ATTEMPTS, Receipt, Work
from poseact.analysis.people import People
from poseact.analysis.plan import make_plan
from poseact.analysis.stages import Watch, chunk_row, decode, in_equal_batches

SIDE_PX = 64


class PoseInTheMiddle:
    """All joints in the middle of the crop, as confident as the pixel there is bright."""

    input_px = SIDE_PX

    def predict(self, crops_BHWC):
        joints_BJ3 = np.full((len(crops_BHWC), 7, 3), SIDE_PX / 2, np.float32)
        joints_BJ3[..., 2] = crops_BHWC[:, SIDE_PX // 2, SIDE_PX // 2, :1] / 255
        return joints_BJ3


class AlwaysTheFirst:
    def predict(self, joints_BJK):
        return np.tile(np.float32([1, 0, 0]), (len(joints_BJK), 1))


@pytest.fixture
def work(tmp_path):
    work = Work(tmp_path / "work")
    work.prepare()
    return work


@pytest.fixture
def watch(work):
    return Watch(
        load_pose=PoseInTheMiddle,
        load_action=AlwaysTheFirst,
        work=work,
        min_pose_confidence=0.5,
    )


def batch_of(chunk):
    return {name: np.array([value]) for name, value in chunk_row(chunk).items()}


def frames_batch(frames_THWC):
    receipt = Receipt(
        chunk_id="v-0", video_id="v", uri="v.mp4", num_planned=9, num_frames=len(frames_THWC)
    )
    return {
        "receipt": np.array([receipt.to_json()]),
        "frames": frames_THWC[None],
        "frame_index": np.arange(len(frames_THWC))[None],
        "pts_s": np.arange(len(frames_THWC))[None] / 10,
    }


def receipt_in(batch):
    return Receipt.from_json(str(batch["receipt"][0]))


def people_in(work, chunk_id):
    return People.from_tables([work.read_part(chunk_id)], num_actions=3)


def test_chunks_together_have_every_frame_at_its_time(make_video, work):
    path = make_video()
    [video] = make_plan([str(path)], chunk_bytes=12 * 320 * 240 * 3).videos
    with av.open(path) as container:
        times_s = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]

    batches = [decode(batch_of(chunk), work=work) for chunk in video.chunks]

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

    batch = decode(batch_of(video.chunks[0]), work=work)
    done = receipt_in(watch(batch))

    assert batch["frames"].shape == (1, 0, 240, 320, 3)
    assert done.error_kind == "VideoError"
    assert str(path) in done.error
    assert done.num_frames == 0
    assert work.load_receipt(done.chunk_id) == done
    assert not list((work.root / "parts").iterdir())


@pytest.mark.parametrize("stage", ["decode", "watch"])
def test_a_chunk_that_kills_its_worker_is_set_aside(stage, make_video, work, watch):
    [video] = make_plan([str(make_video())], chunk_bytes=2**20).videos
    chunk = video.chunks[0]
    for _ in range(MAX_ATTEMPTS):
        work.count_attempt(chunk.chunk_id, stage)  # and then its worker was gone

    done = receipt_in(watch(decode(batch_of(chunk), work=work)))

    assert done.error_kind == "Quarantined"
    assert stage in done.error
    assert chunk.uri in done.error
    assert done.num_frames == 0


def test_joints_are_in_frame_pixels_and_the_box_is_the_frame(work, watch):
    watch(frames_batch(np.full((3, 100, 200, 3), 255, np.uint8)))

    people = people_in(work, "v-0")
    # the middle of the crop, which the frame's middle row and column cross
    np.testing.assert_allclose(people.joints_NJ3[..., 0], 100, atol=1e-3)
    np.testing.assert_allclose(people.joints_NJ3[..., 1], 50, atol=1e-3)
    assert people.boxes_N4.tolist() == [[0, 0, 200, 100]] * 3
    assert np.isnan(people.detection_score_N).all(), "nobody detected anything"
    assert people.scores_NA.tolist() == [[1, 0, 0]] * 3


def test_a_frame_without_confidence_keeps_a_row_with_nobody(work, watch):
    frames_THWC = np.full((3, 100, 100, 3), 255, np.uint8)
    frames_THWC[1] = 0

    watch(frames_batch(frames_THWC))

    people = people_in(work, "v-0")
    assert people.is_person_N.tolist() == [True, False, True]
    assert people.frame_index_N.tolist() == [0, 1, 2]
    for values in (people.boxes_N4, people.joints_NJ3, people.scores_NA):
        assert np.isnan(values[1]).all()


def test_every_call_of_a_model_has_the_same_number_of_items():
    sizes = []

    def double(items_N):
        sizes.append(len(items_N))
        return items_N * 2

    doubled = in_equal_batches(double, np.arange(1, 12), 4)

    assert doubled.tolist() == [*range(2, 24, 2)]
    assert sizes == [4, 4, 4]
