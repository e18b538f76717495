import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from poseact import __version__, cli
from poseact.errors import ConfigError, InputError, OutputError, PoseactError
from poseact.evaluation.config import PredictConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """When an action counts."""

    on: float = 0.6
    """Score that starts a segment."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Look for actions."""

    videos: tuple[str, ...]
    """What to look at."""

    out: Path
    """Where results go."""

    detector: Literal["none", "boxes"] = "none"
    """Who looks for people."""

    max_fps: float | None = None
    """Frames per second."""

    dry_run: bool = False
    """Do nothing."""

    rules: Rules = Rules()
    """When an action counts."""

    def __post_init__(self) -> None:
        if self.max_fps is not None and self.max_fps <= 0:
            raise ConfigError(f"max_fps must be above 0, got {self.max_fps}.")


REQUIRED = ["--videos", "a.mp4", "b.mp4", "--out", "o"]


def parse(args, file=None):
    config = [] if file is None else ["--config", str(file)]
    return cli.parse(Settings, [*args, *config], "poseact look")


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "look.yaml"
        path.write_text(text)
        return path

    return write_file


def test_flags_make_the_settings():
    got = parse([*REQUIRED, "--max-fps", "12.5", "--dry-run", "--rules.on", "0.7"])

    assert got == Settings(
        videos=("a.mp4", "b.mp4"), out=Path("o"), max_fps=12.5, dry_run=True, rules=Rules(on=0.7)
    )
    assert type(got) is Settings


def test_the_file_reads_the_same_class(write):
    file = write(
        "videos: [a.mp4, b.mp4]\nout: o\nmax_fps: 12\ndetector: boxes\nrules:\n  on: 0.7\n"
    )

    assert parse([], file) == Settings(
        videos=("a.mp4", "b.mp4"),
        out=Path("o"),
        max_fps=12.0,
        detector="boxes",
        rules=Rules(on=0.7),
    )


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(write):
    got = parse(["--max-fps", "5"], write("videos: [a]\nout: o\nmax_fps: 9\ndetector: boxes\n"))

    assert (got.max_fps, got.detector, got.dry_run) == (5.0, "boxes", False)


def test_a_flag_mends_a_value_that_is_wrong_in_the_file(write):
    assert parse([*REQUIRED, "--max-fps", "5"], write("max_fps: -1")).max_fps == 5


def test_an_empty_file_sets_nothing(write):
    assert parse(REQUIRED, write("")) == parse(REQUIRED)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param(
            ["--vidoes", "a", "--out", "o"],
            "unknown flag --vidoes; did you mean --videos?",
            id="typo",
        ),
        pytest.param([*REQUIRED, "--rules.no", "1"], "did you mean --rules.on?", id="nested typo"),
        pytest.param([*REQUIRED, "--quux=3"], "unknown flag --quux=3.", id="nothing close"),
        pytest.param(["x", *REQUIRED], "unknown argument x.", id="stray word"),
        pytest.param(["--videos", "a"], "--out must be given.", id="required flag left out"),
        pytest.param([], "--videos and --out must be given.", id="both left out"),
        pytest.param(
            [*REQUIRED, "--detector", "cat"],
            "--detector must be one of none, boxes, got cat.",
            id="not a choice",
        ),
        pytest.param([*REQUIRED, "--max-fps"], "--max-fps needs a value", id="no value"),
        pytest.param([*REQUIRED, "--max-fps", "fast"], "--max-fps: ", id="not a number"),
        pytest.param([*REQUIRED, "--max-fps", "-1"], "max_fps must be above 0", id="own check"),
        pytest.param([*REQUIRED, "--config"], "--config needs", id="config without a file"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(args, message):
    with pytest.raises(ConfigError) as error:
        parse(args)

    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("max_fsp: 3", "unknown key max_fsp; did you mean max_fps?", id="typo"),
        pytest.param("rules: {onn: 1}", "rules: unknown key onn; did you mean on?", id="nested"),
        pytest.param("max_fps: fast", "max_fps: expected float, got 'fast'.", id="wrong type"),
        pytest.param("dry_run: 1", "dry_run: expected bool, got 1.", id="number for a bool"),
        pytest.param("out: 3", "out: expected Path, got 3.", id="number for a path"),
        pytest.param("videos: a.mp4", "videos: expected a list of str, got 'a.mp4'.", id="no list"),
        pytest.param("videos: [1]", "videos: expected str, got 1.", id="wrong item"),
        pytest.param("detector: cat", "expected one of 'none', 'boxes', got 'cat'.", id="choice"),
        pytest.param("- a", "expected `name: value` lines", id="list at the top"),
        pytest.param("a: [", "is not YAML", id="broken"),
        pytest.param("out: !!python/object:os.system x", "is not YAML", id="only plain values"),
    ],
)
def test_a_wrong_file_is_one_clear_line_with_its_name(write, text, message):
    file = write(text)

    with pytest.raises(ConfigError) as error:
        parse(REQUIRED, file)

    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read"):
        parse(REQUIRED, tmp_path / "no.yaml")


def test_the_pictures_of_predict_need_no_flag():
    got = cli.parse(PredictConfig, ["a.png", "b.png", "--out", "o"], "poseact predict")

    assert got.images == (Path("a.png"), Path("b.png"))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_each_command_lists_its_flags(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])

    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: poseact {name} ")
    assert "--config FILE.yaml" in text
    assert (cli.COMMANDS[name].config.__doc__ or "").splitlines()[0] in text


def test_help_and_version_name_what_there_is(capsys):
    assert cli.main(["--help"]) == 0
    assert cli.main(["--version"]) == 0

    text = capsys.readouterr().out
    assert text.endswith(f"poseact {__version__}\n")
    for name in cli.COMMANDS:
        assert f"  {name}  " in text


def test_an_unknown_command_gets_a_suggestion(capsys):
    assert cli.main(["anlyze"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown command anlyze; did you mean analyze? `poseact --help` lists them.\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError, 2), (InputError, 3), (OutputError, 4), (PoseactError, 1)],
)
def test_an_error_is_one_line_and_its_exit_code(error, code, monkeypatch, capsys):
    def fail(config):
        raise error(f"{config.out}: no.")

    monkeypatch.setitem(cli.COMMANDS, "look", cli.Command(Settings, fail))

    assert cli.main(["look", *REQUIRED]) == code
    assert capsys.readouterr().err == "error: o: no.\n"


def test_what_a_message_quotes_cannot_steer_the_terminal(capsys):
    assert cli.main(["verify", "a\x1b[2J\nerror: b\u202e\udcff"]) == 3

    error = capsys.readouterr().err
    assert "/a\\x1b[2J\\nerror: b\\u202e\\udcff: " in error
    assert error.removesuffix("\n").isprintable()


def test_an_interrupt_leaves_no_traceback(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "look", cli.Command(Settings, interrupted))

    assert cli.main(["look", *REQUIRED]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_the_console_script_returns_the_exit_code():
    script = Path(sys.executable).with_name("poseact")

    result = subprocess.run(
        [script, "analyze", "--vidoes", "x"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert result.stderr.startswith("error: unknown flag --vidoes; did you mean --videos?")
    assert result.stderr.count("\n") == 1


def test_help_does_not_wait_for_torch_or_ray():
    code = (
        "import sys; from poseact.cli import main; main(['--help']);"
        "print('heavy:', *sorted({'torch', 'ray', 'cv2', 'av', 'pandas'} & set(sys.modules)))"
    )

    before = os.times()
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    after = os.times()

    assert result.stdout.splitlines()[-1] == "heavy:"
    # Processor time, which other work on the machine leaves alone; 0.6 s where this was written.
    spent_s = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    assert spent_s < 1.5
