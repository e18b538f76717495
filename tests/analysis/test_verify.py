import json
import shutil
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poseact.analysis.verify import verify
from poseact.analysis.verify_config import VerifyConfig
from poseact.errors import ConfigError, InputError

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "out"


@pytest.fixture
def run(kept, request, tmp_path):
    """A finished run over two videos of 20 and 10 frames, analysed once for all tests."""
    if not kept.exists():
        make_video, make_config, analyze_here = map(
            request.getfixturevalue, ("make_video", "make_config", "analyze_here")
        )
        videos = make_video("yard/a.mp4", num_frames=20), make_video("yard/b.mp4", num_frames=10)
        analyze_here(make_config(*videos, out=kept))
    return SimpleNamespace(out=shutil.copytree(kept, tmp_path / "copy"))


@pytest.fixture
def verified(run, capsys):
    """Verify the run; return the exit code and what is told to be wrong."""

    def verified():
        code = verify(VerifyConfig(out=str(run.out)))
        text = capsys.readouterr().out
        return code, [line for line in text.splitlines() if line.startswith("wrong: ")], text

    return verified


def the_file(run, table):
    return min((run.out / table).rglob("*.parquet"))


def rewrite(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def test_tables_as_they_should_be_are_verified(verified):
    code, wrong, text = verified()

    assert (code, wrong) == (0, [])
    assert "frames: 30 of 30 expected; 0 of those analysed are gone, 0 are there twice" in text
    assert text.splitlines()[-1] == "verified: every frame that was analysed is there exactly once."


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        pytest.param(
            "timeline", lambda rows: rows.slice(1), "frames; its row in videos", id="a frame gone"
        ),
        pytest.param(
            "timeline",
            lambda rows: pa.concat_tables([rows.slice(0, 1), rows]),
            "1 rows too many",
            id="a frame doubled",
        ),
        pytest.param(
            "timeline", lambda rows: rows.drop_columns(["joints"]), "columns", id="a column gone"
        ),
        pytest.param(
            "timeline",
            lambda rows: rows.replace_schema_metadata({}),
            "schema_version",
            id="no version",
        ),
        pytest.param(
            "timeline",
            lambda rows: rows.set_column(
                rows.column_names.index("config_hash"),
                "config_hash",
                pa.array(["other"] * len(rows)),
            ).cast(rows.schema),
            "other settings",
            id="another hash",
        ),
        pytest.param(
            "segments",
            lambda rows: pa.concat_tables([rows, rows]),
            "a segment is there twice",
            id="a segment doubled",
        ),
        pytest.param(
            "videos", lambda rows: rows.slice(0, 0), "expected the one row", id="no row of a video"
        ),
    ],
)
def test_what_is_wrong_is_told(run, verified, table, change, told):
    rewrite(the_file(run, table), change)

    code, [wrong, *_], _ = verified()

    assert code == 6
    assert told in wrong
    assert str(run.out) in wrong


@pytest.mark.parametrize("table", ["videos", "timeline", "segments"])
def test_a_damaged_file_is_told(run, verified, table):
    path = the_file(run, table)
    path.write_bytes(path.read_bytes()[:-20])

    code, wrong, _ = verified()

    assert code == 6
    assert str(path) in wrong[0]


@pytest.mark.parametrize("table", ["timeline", "segments"])
def test_a_file_that_is_gone_is_told(run, verified, table):
    the_file(run, table).unlink()

    code, [wrong], _ = verified()

    assert code == 6
    assert f"has a row in videos, and no {table}" in wrong


def test_a_file_without_its_row_is_told(run, verified):
    the_file(run, "videos").unlink()

    code, wrong, _ = verified()

    assert code == 6
    assert len(wrong) == 2
    assert all("its video has no row in videos" in line for line in wrong)


def test_a_video_in_two_folders_is_told(run, verified):
    path = the_file(run, "timeline")
    copy = run.out / "timeline" / "camera_id=x" / "date=unknown" / path.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())

    code, [wrong], _ = verified()

    assert code == 6
    assert "the same video is in" in wrong


@pytest.mark.parametrize(
    ("mark", "told"),
    [("work", "not analysed to their end"), ("lock.json", "a run is at work, or was killed")],
)
def test_a_run_that_is_not_finished_says_so(run, verified, mark, told):
    (run.out / mark).mkdir()

    code, wrong, text = verified()

    assert (code, wrong) == (5, [])
    assert told in text


def test_a_rescore_in_the_middle_says_so(run, verified):
    path = run.out / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rescore": "unfinished"}))

    code, _, text = verified()

    assert code == 5
    assert "a rescore did not come to its end" in text


def test_no_run_is_no_pass(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        verify(VerifyConfig(out=str(tmp_path)))
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        verify(VerifyConfig(out=str(tmp_path)))
