import pytest

from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.people import People
from poseact.analysis.plan import make_plan
from poseact.errors import OutputError


@pytest.fixture
def work(tmp_path):
    work = Work(tmp_path / "out" / "work")
    work.prepare()
    return work


@pytest.fixture
def planned(make_video):
    path = make_video("gate_20240131T235959Z.mp4", num_frames=20)
    [video] = make_plan([str(path)], chunk_bytes=10 * 240 * 320 * 3).videos
    return video


def files(work):
    return sorted(str(path.relative_to(work.root)) for path in work.root.rglob("*.*"))


def test_a_plan_comes_back_as_it_was(work, planned):
    work.save_plan(planned)

    assert len(planned.chunks) == 2
    assert work.load_plan(planned.info.video_id) == planned
    assert work.load_plan("another") is None


def test_a_chunk_is_done_once_it_has_a_receipt(work):
    receipt = Receipt(
        chunk_id="v-0", video_id="v", uri="v", num_planned=3, error="é", last_good_pts_s=0.1
    )

    assert not work.is_done("v-0")
    work.save_receipt(receipt)

    assert work.is_done("v-0")
    assert work.load_receipt("v-0") == receipt


def test_a_repeated_chunk_replaces_its_own_part(work):
    part = People.from_tables([]).to_table()

    work.write_part("v-0", part)
    work.write_part("v-0", part)

    assert files(work) == ["parts/v-0.parquet"]
    assert work.read_part("v-0").equals(part)


def test_attempts_are_counted_for_each_stage_until_forgotten(work):
    counts = [work.count_attempt("v-0", stage) for stage in ("decode", "decode", "watch")]
    work.forget_attempts("v-0", "decode")
    work.forget_attempts("never-tried", "decode")

    assert counts == [1, 2, 1]
    assert work.count_attempt("v-0", "decode") == 1
    assert work.count_attempt("v-0", "watch") == 2


def test_a_finished_video_leaves_nothing_behind(work, planned):
    chunk = planned.chunks[0]
    work.save_plan(planned)
    work.write_part(chunk.chunk_id, People.from_tables([]).to_table())
    work.save_receipt(Receipt(chunk_id=chunk.chunk_id, video_id="v", uri="v", num_planned=0))

    work.forget(planned)
    assert files(work) == []

    work.remove_if_done()
    assert not work.root.exists()


def test_the_folder_stays_while_a_video_is_unfinished(work, planned):
    work.save_plan(planned)

    work.remove_if_done()

    assert work.load_plan(planned.info.video_id) == planned


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=r"file/out: cannot be written: Not a directory"):
        Work(tmp_path / "file" / "out" / "work").prepare()
