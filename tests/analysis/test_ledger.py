import dataclasses

import pytest

from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.people import People
from poseact.analysis.plan import make_plan
from poseact.errors import OutputError


@pytest.fixture
def work(tmp_path):
    work = Work(tmp_path / "out" / "work" / "hash")
    work.prepare()
    return work


@pytest.fixture
def planned(make_video):
    path = make_video("gate_20240131T235959Z.mp4", num_frames=20)
    [video] = make_plan([str(path)], chunk_bytes=10 * 240 * 320 * 3).videos
    return video


def files(work):
    return sorted(str(path.relative_to(work.root)) for path in work.root.rglob("*.*"))


def receipt_of(chunk_id="v-0", **details):
    return Receipt(chunk_id=chunk_id, video_id="v", uri="v", num_planned=3, **details)


@pytest.fixture
def work_with_folders(work):
    for table in ("parts", "receipts"):
        (work.root / table / "v").mkdir()
    return work


def test_a_plan_comes_back_as_it_was(work, planned):
    work.save_plan(planned)

    assert len(planned.chunks) == 2
    assert work.load_plan(planned.info.video_id) == planned
    assert work.load_plan("another") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"info": {}, "chunks": []}'])
def test_a_damaged_plan_is_none(work, text):
    (work.root / "manifest" / "v.json").write_text(text)

    assert work.load_plan("v") is None
    with pytest.raises(OutputError, match="plan of video v"):
        work.require_plan("v")


def test_a_chunk_is_done_once_it_has_a_receipt(work_with_folders):
    work = work_with_folders
    receipt = receipt_of(error="é", last_good_pts_s=0.1)

    assert work.done_ids("v") == set()
    work.save_receipt(receipt)

    assert work.done_ids("v") == {"v-0"}
    assert work.load_receipt("v", "v-0") == receipt


def test_a_repeated_chunk_replaces_its_own_part(work_with_folders):
    work = work_with_folders
    part = People.from_tables([]).to_table()

    work.write_part("v", "v-0", part)
    work.write_part("v", "v-0", part)

    assert files(work) == ["parts/v/v-0.parquet"]
    assert work.read_part(receipt_of()).equals(part)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_chunk_whose_part_is_damaged_is_done_no_more(work_with_folders, damage):
    work = work_with_folders
    work.write_part("v", "v-0", People.from_tables([]).to_table())
    work.save_receipt(receipt_of(num_frames=3))
    part = work.root / "parts" / "v" / "v-0.parquet"
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-9])
    else:
        part.unlink()

    with pytest.raises(OutputError, match=r"v-0\.parquet: is gone or damaged"):
        work.read_part(receipt_of())

    assert work.done_ids("v") == set()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_receipt_is_none(work_with_folders, text):
    work = work_with_folders
    (work.root / "receipts" / "v" / "v-0.json").write_text(text)

    with pytest.raises(OutputError, match=r"v-0\.json: is gone or damaged"):
        work.load_receipt("v", "v-0")

    assert work.done_ids("v") == set()


def test_a_finished_video_leaves_nothing_behind(work, planned):
    chunk = planned.chunks[0]
    work.save_plan(planned)
    work.write_part(chunk.video_id, chunk.chunk_id, People.from_tables([]).to_table())
    receipt = receipt_of(chunk.chunk_id)
    work.save_receipt(dataclasses.replace(receipt, video_id=chunk.video_id))
    assert work.unfinished_ids() == {chunk.video_id}

    work.forget(planned.info.video_id)

    assert files(work) == []
    assert work.unfinished_ids() == set()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=r"file/out: cannot be written: Not a directory"):
        Work(tmp_path / "file" / "out" / "work" / "hash").prepare()
