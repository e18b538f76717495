import json
import os
import runpy

import pytest

from poseact.cli import main
from poseact.errors import ConfigError, InputError, OutputError
from poseact.review.export import export
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
