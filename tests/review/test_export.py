import json
import os
import runpy
import shutil

import pytest

from poseact.analysis.run import WORK
from poseact.cli import main
from poseact.errors import ConfigError, InputError, OutputError
from poseact.review.export import export, names_of
from poseact.review.export_config import ExportConfig
from poseact.video.probe import video_id_of


def config_of(out, **settings):
    return ExportConfig(out=out, format="overlay", **settings)


def overlay_of(path, folder):
    return folder / f"{path.stem}-{video_id_of(str(path))}.mp4"


@pytest.fixture
def short(make_recording):
    """Recordings of six frames."""

    def make(name="gate.mp4"):
        return make_recording(name, pts=range(6))

    return make


def test_every_recording_becomes_a_file_named_by_it(short, make_run, capsys):
    paths = [short("yard/gate.mp4"), short("door/gate.mp4"), short("door/hall.mp4")]
    out = make_run(*paths)

    assert main(["export", str(out), "--format", "overlay"]) == 0

    expected = [overlay_of(path, out / "overlay") for path in sorted(paths)]
    assert sorted((out / "overlay").glob("*.mp4")) == sorted(expected)
    assert len(set(expected)) == 3, "two have the same name"
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{target}: 6 frames of {path}"
        for target, path in zip(expected, sorted(paths), strict=True)
    ]
    assert last == "A score is a prompt for a person, not a finding."


@pytest.mark.parametrize(
    "name_of",
    [
        pytest.param(lambda path: video_id_of(str(path)), id="by video_id"),
        pytest.param(lambda path: path.name, id="by file name"),
        pytest.param(lambda path: path.stem, id="without the ending"),
        pytest.param(str, id="by path"),
        pytest.param(os.path.relpath, id="by relative path"),
    ],
)
def test_one_recording_can_be_named(short, make_run, tmp_path, name_of):
    wanted, other = short("a.mp4"), short("b.mp4")
    out, to = make_run(wanted, other), tmp_path / "new" / "folder"

    assert export(config_of(out, video=(name_of(wanted),), to=to)) == 0

    assert list(to.glob("*.mp4")) == [overlay_of(wanted, to)]


def test_twice_is_the_same_as_once_and_leaves_nothing_else(short, make_run, tmp_path):
    path, to = short(), tmp_path / "to"
    out = make_run(path)

    def content():
        export(config_of(out, to=to))
        return {file.name: file.read_bytes() for file in to.iterdir()}

    first = content()
    assert set(first) == {overlay_of(path, to).name, overlay_of(path, to).stem + ".json"}
    assert content() == first


@pytest.mark.parametrize("hide_heads", [True, False])
def test_what_it_was_made_from_lies_beside_it(short, make_run, hide_heads):
    path = short()
    out = make_run(path)

    export(config_of(out, hide_heads=hide_heads))

    beside = json.loads(overlay_of(path, out / "overlay").with_suffix(".json").read_text())
    assert (beside["source"], beside["video_id"]) == (str(path), video_id_of(str(path)))
    assert beside["config"]["hide_heads"] is hide_heads
    assert beside["config"]["to"] == str(out / "overlay")


def test_heads_are_hidden_unless_the_flag_says_no(short, make_run):
    path = short()
    out = make_run(path)
    target = overlay_of(path, out / "overlay")

    def content(*flags):
        assert main(["export", str(out), "--format", "overlay", *flags]) == 0
        return target.read_bytes()

    assert content() == content("--hide-heads") != content("--no-hide-heads")


def test_a_failed_recording_is_named_and_the_others_are_written(short, make_run, capsys):
    good, bad = short("good.mp4"), short("bad.mp4")
    make_run(good)
    out = make_run(bad, status="failed", error="no keyframe")

    assert export(config_of(out)) == 5

    said = capsys.readouterr()
    assert list((out / "overlay").glob("*.mp4")) == [overlay_of(good, out / "overlay")]
    assert said.err == (
        f"left out: {bad}: its analysis failed (no keyframe). Mend it, analyze it again.\n"
    )


def test_a_partial_recording_is_written_as_far_as_it_goes(short, make_run, capsys):
    out = make_run(short(), status="partial", error="4 of 6 frames could be analysed", analyzed=[0])

    assert export(config_of(out)) == 5

    assert "6 frames of" in (said := capsys.readouterr().out)
    assert "; partial: 4 of 6 frames could be analysed\n" in said


def moved(path, out):
    path.rename(path.with_name("elsewhere.mp4"))


def replaced(path, out):
    path.write_bytes(path.read_bytes() + b"\0")


def touched(path, out):
    os.utime(path, (1, 1))


def without_timeline(path, out):
    next((out / "timeline").rglob("*.parquet")).unlink()


def unfinished(path, out):
    (out / "work" / "manifest").mkdir(parents=True)


def without_recordings(path, out):
    next((out / "videos").iterdir()).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(moved, "gate.mp4: .*moved or deleted.* Put it back", id="moved"),
        pytest.param(replaced, "gate.mp4: its size or time has changed", id="replaced"),
        pytest.param(touched, "gate.mp4: its size or time has changed", id="touched"),
        pytest.param(without_timeline, "no timeline of video .* Analyze", id="no timeline"),
        pytest.param(unfinished, "out: the run is not finished", id="unfinished"),
        pytest.param(without_recordings, "out: the run has no recording", id="no recording"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(short, make_run, spoil, message):
    path = short()
    out = make_run(path)
    spoil(path, out)

    with pytest.raises(InputError, match=message) as error:
        export(config_of(out))

    assert "\n" not in str(error.value)
    assert not list(out.rglob("*.mp4"))


def test_nothing_but_failures_names_the_first_and_counts_the_others(short, make_run):
    paths = [short(f"{name}.mp4") for name in "abc"]
    out = make_run(*paths, status="failed", error="torn")

    with pytest.raises(InputError, match=r"a\.mp4: .*torn.* 2 more cannot be exported either\."):
        export(config_of(out))


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match="absent: holds no run"):
        export(config_of(tmp_path / "absent"))


def test_an_unknown_recording_gets_a_suggestion(short, make_run):
    out = make_run(short())

    with pytest.raises(ConfigError, match=r"no recording gaet\.mp4; did you mean gate\.mp4\?"):
        export(config_of(out, video=("gaet.mp4",)))


def test_a_folder_that_cannot_be_written_is_an_output_error(short, make_run, tmp_path):
    out = make_run(short())
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"file.*: cannot be written.*--to"):
        export(config_of(out, to=tmp_path / "file" / "below"))


def test_a_file_that_is_there_stays_whole_if_the_new_one_fails(short, make_run):
    path = short()
    out = make_run(path)
    export(config_of(out))
    target = overlay_of(path, out / "overlay")
    before = target.read_bytes()
    without_timeline(path, out)

    with pytest.raises(InputError):
        export(config_of(out))

    assert target.read_bytes() == before
    assert [file.suffix for file in sorted(target.parent.iterdir())] == [".json", ".mp4"]


def test_a_job_takes_the_flags_of_the_command(repo, short, make_run, monkeypatch):
    out = make_run(short())
    monkeypatch.setattr("sys.argv", ["export.py", str(out), "--format", "overlay"])

    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(repo / "jobs" / "export.py"), run_name="__main__")

    assert end.value.code == 0
    assert len(list((out / "overlay").glob("*.mp4"))) == 1


@pytest.fixture
def run_in_store(make_run, s3, s3_folder):
    """Write the tables of a finished run as `make_run` does, into the S3 server."""

    def make(*paths, **options):
        out = make_run(*paths, **options)
        key = s3_folder.removeprefix(f"s3://{s3.bucket}/")
        for file in out.rglob("*.parquet"):
            s3.put(f"{key}/{file.relative_to(out)}", file.read_bytes())
        shutil.rmtree(out)
        return s3_folder

    return make


def test_a_run_in_a_store_is_exported_to_a_local_folder(short, make_run, run_in_store, tmp_path):
    path = short()
    local, to = make_run(path), tmp_path / "to"
    export(config_of(local))
    expected = overlay_of(path, local / "overlay").read_bytes()
    out = run_in_store(path)

    assert main(["export", out, "--format", "overlay", "--to", str(to)]) == 0

    assert overlay_of(path, to).read_bytes() == expected
    beside = json.loads(overlay_of(path, to).with_suffix(".json").read_text())
    assert beside["config"]["out"] == out


def test_a_run_in_a_store_needs_a_folder_for_the_files(capsys):
    assert main(["export", "s3://bucket/out", "--format", "overlay"]) == 2
    assert "--to" in capsys.readouterr().err

    with pytest.raises(ConfigError, match="to must be a folder of this machine"):
        config_of("out", to="s3://bucket/overlays")


def test_an_unfinished_run_in_a_store_is_told(short, run_in_store, s3, tmp_path):
    out = run_in_store(short())
    s3.put(f"{out.removeprefix('s3://bucket/')}/{WORK}/manifest/v.json", b"{}")

    with pytest.raises(InputError, match=f"^{out}: the run is not finished"):
        export(config_of(out, to=tmp_path / "to"))


def test_a_store_that_is_down_is_told(tmp_path, monkeypatch, free_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(InputError, match=r"^s3://bucket/out: cannot be read: .*reachable"):
        export(config_of("s3://bucket/out", to=tmp_path / "to"))


def test_a_recording_in_a_store_can_be_named_by_its_location_and_its_name():
    row = {"video_id": "v", "uri": "s3://bucket/yard/gate 1.mp4"}

    assert names_of(row) == {"v", "s3://bucket/yard/gate 1.mp4", "gate 1.mp4", "gate 1"}
