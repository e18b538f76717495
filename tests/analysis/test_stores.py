"""Recordings and results in an object store, over HTTP, to a real server."""

import pytest

from poseact.analysis.job import analyze
from poseact.analysis.rescore import rescore
from poseact.analysis.rescore_config import RescoreConfig, RuleChanges
from poseact.analysis.run import WORK
from poseact.analysis.verify import verify
from poseact.analysis.verify_config import VerifyConfig
from poseact.errors import OutputError
from poseact.storage import to_path
from poseact.timeline.tables import read_segments, read_videos

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(600)]

TABLES = ("timeline", "segments")


def table_bytes(out):
    root = to_path(out)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for table in TABLES
        for path in (root / table).rglob("*.parquet")
    }


@pytest.fixture
def recordings(s3_folder, make_video):
    """Two recordings in the store, 60 frames together."""
    folder = to_path(s3_folder) / "yard"
    for name, num_frames in (("a.mp4", 40), ("b ü.mp4", 20)):
        path = make_video(f"local/{name}", num_frames=num_frames)
        (folder / name).write_bytes(path.read_bytes())
    return str(folder)


def test_a_run_in_a_store_has_the_bytes_of_one_on_disk(
    recordings, s3_folder, s3, make_config, tmp_path, ray_cluster, capsys
):
    in_store = make_config(recordings, out=f"{s3_folder}/out")
    on_disk = make_config(recordings, out=tmp_path / "out")

    assert analyze(in_store) == analyze(on_disk) == 0

    assert table_bytes(in_store.out) == table_bytes(on_disk.out)
    assert len(table_bytes(in_store.out)) == 2 * len(TABLES)
    assert sorted(read_videos(in_store.out)["frames_analyzed"]) == [20, 40]
    left = s3.keys(in_store.out)
    assert left
    assert not [key for key in left if f"/{WORK}/" in key or key.endswith("lock.json")]
    assert verify(VerifyConfig(out=in_store.out)) == 0
    capsys.readouterr()
    assert analyze(in_store) == 0
    assert capsys.readouterr().out.startswith("nothing to do")

    num_segments = len(read_segments(in_store.out))
    assert num_segments > 0
    changes = RuleChanges(on=0.99, off=0.98)
    assert rescore(RescoreConfig(out=in_store.out, rules=changes)) == 0
    assert len(read_segments(in_store.out)) < num_segments
    assert verify(VerifyConfig(out=in_store.out)) == 0


def test_a_run_whose_store_refuses_goes_on_when_it_no_longer_does(
    recordings, s3_folder, s3, make_config, tmp_path, ray_cluster
):
    in_store = make_config(recordings, out=f"{s3_folder}/out")
    whole = make_config(recordings, out=tmp_path / "out")
    analyze(whole)

    with (
        s3.refusing(r"PUT .*/receipts/.*"),
        pytest.raises(OutputError, match="cannot be written") as caught,
    ):
        analyze(in_store)
    assert len(str(caught.value).splitlines()) == 1
    assert analyze(in_store) == 0

    assert table_bytes(in_store.out) == table_bytes(whole.out)
