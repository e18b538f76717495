"""Settings files that are broken, or meant to do harm: each is one clear line, and soon."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poseact.config_file import read_config_file
from poseact.errors import ConfigError

pytestmark = pytest.mark.faults


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """When an action counts."""

    on: float = 0.6
    """Score that starts a segment."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a file may set."""

    videos: tuple[str, ...] = ()
    """What to look at."""

    out: Path | None = None
    """Where results go."""

    camera: str = "gate"
    """Who recorded."""

    limit: int | None = None
    """Number of recordings."""

    max_fps: float | None = None
    """Frames per second."""

    rules: Rules = Rules()
    """When an action counts."""


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "look.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def message_of(file):
    """Return what is wrong with a file, having checked that it is one line that names it."""
    with pytest.raises(ConfigError) as error:
        read_config_file(file, Settings)
    message = str(error.value)
    assert message.startswith(f"{file}: ")
    assert message.isprintable()
    assert len(message) < 600
    return message


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGED_LAUGHS = "a0: &a0 {camera: x}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)
DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(LAUGHS, "alias *a0", id="a billion laughs"),
        pytest.param(MERGED_LAUGHS, "alias *a0", id="a billion merged laughs"),
        pytest.param("videos: &v [*v]", "alias *v", id="a list that holds itself"),
        pytest.param("<<: [{camera: x}]", "merge", id="a merge without an alias"),
        pytest.param("rules: " * 400 + "1", "mapping values are not allowed", id="keys in a row"),
        pytest.param("videos: " + "[" * 20_000, "nested too deeply", id="deep lists"),
        pytest.param("rules: " + "{a: " * 20_000, "nested too deeply", id="deep mappings"),
        pytest.param("? " * 20_000, "nested too deeply", id="deep keys"),
        pytest.param("- " * 20_000, "nested too deeply", id="deep lists by dashes"),
        pytest.param(f"limit: {DIGITS}", "digits", id="an int of 5,000 digits"),
        pytest.param(f"limit: 0x{'f' * 5000}", "64 bits", id="as many in base 16"),
        pytest.param(f"limit: 1{':59' * 3000}", "64 bits", id="as many in base 60"),
        pytest.param(f"? {DIGITS}\n: 1", "digits", id="as many as a key"),
        pytest.param(f"max_fps: {10**400}", "64 bits", id="an int beyond any float"),
        pytest.param(f"max_fps: 1{':59' * 3000}.5", "too large", id="a float in base 60"),
        pytest.param("max_fps: 1e999999", "max_fps: expected float, got '1e999", id="text to YAML"),
        pytest.param(
            "max_fps: 1.0e+999999", "max_fps: must be a finite", id="infinity by exponent"
        ),
        pytest.param("max_fps: -.inf", "max_fps: must be a finite", id="infinity"),
        pytest.param("rules: {on: .nan}", "rules: on: must be a finite", id="not a number"),
        pytest.param("limit: 0x_", "invalid literal", id="a number without a digit"),
        pytest.param("camera: 2024-01-31", "camera: expected str, got datetime", id="a date"),
        pytest.param("camera: 2024-13-45", "month must be in 1..12", id="a day that is none"),
        pytest.param("camera: 2024-01-31T25:00:00Z", "hour must be", id="an hour that is none"),
        pytest.param("camera: a\ncamera: b", "key 'camera' is given twice", id="one key twice"),
        pytest.param(
            "rules: {on: 1, 'on': 1}", "key 'on' is given twice", id="on in two spellings"
        ),
        pytest.param("[a, b]: 1", "unhashable key", id="a list as a key"),
        pytest.param("{a: 1}: 1", "unhashable key", id="a mapping as a key"),
        pytest.param("null: 1", "unknown key None", id="nothing as a key"),
        pytest.param("false", "expected `name: value` lines, got False", id="only a truth value"),
        pytest.param("[]", "expected `name: value` lines, got []", id="only a list"),
        pytest.param("a\n", "expected `name: value` lines, got 'a'", id="only a word"),
        pytest.param("camera: a\n---\ncamera: b", "another document", id="two documents"),
        pytest.param(b"camera: \x00", "unacceptable character #x0000", id="a NUL"),
        pytest.param(b"camera: \x1b[31m", "unacceptable character #x001b", id="an escape code"),
        pytest.param('camera: "\\0"', "camera: holds a character", id="a NUL by an escape"),
        pytest.param('out: "a\\0b"', "out: holds a character", id="a path with a NUL"),
        pytest.param('videos: ["\\ud800"]', "videos: holds a character", id="half a character"),
        pytest.param('camera: "\\U00110000"', "not in range", id="no character at all"),
        pytest.param('"\\e[2J": 1', "unknown key \\x1b[2J", id="a key that clears the screen"),
        pytest.param('"a\\nb": 1', "unknown key a\\nb", id="a key of two lines"),
        pytest.param(f"limit: {'x' * 100_000}", "expected int, got 'xxx", id="a long text"),
        pytest.param(f"? {'x' * 100_000}\n: 1", "unknown key xxx", id="a long key"),
        pytest.param(b"camera: caf\xe9", "can't decode byte 0xe9", id="Latin-1"),
        pytest.param("camera: a".encode("utf-16"), "is no UTF-8 text", id="UTF-16"),
        pytest.param(b"#" * (1024**2 + 1), "larger than 1,048,576 bytes", id="a mebibyte"),
    ],
)
def test_a_hostile_file_is_one_line_and_soon(write, content, expected):
    started = time.process_time()

    assert expected in message_of(write(content))
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple",
        "!mine",
        "!!binary",
        "!!int",
        "!!bool",
        "!!timestamp",
        "!!set",
    ],
)
@pytest.mark.parametrize("value", ["camera: {} [touch {}]", "camera: {} '{}'", "{} [{}]: 1"])
def test_a_tag_is_refused_before_anything_is_made_of_it(write, tmp_path, tag, value):
    file = write(value.format(tag, tmp_path / "made"))

    assert "only plain values are read" in message_of(file)
    assert not (tmp_path / "made").exists()


def test_a_folder_is_no_settings_file(tmp_path):
    assert "no regular file" in message_of(tmp_path)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert "no regular file" in message_of(tmp_path / "pipe")


def test_a_device_without_an_end_is_not_read():
    assert "no regular file" in message_of(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["no.yaml", "x" * 300], ids=["missing", "a name too long"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    assert "cannot be read" in message_of(tmp_path / name)


def test_links_in_a_circle_are_an_unreadable_file(tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")

    assert "cannot be read" in message_of(tmp_path / "loop.yaml")


def test_a_byte_order_mark_and_an_empty_file_are_harmless(write):
    assert read_config_file(write(b"\xef\xbb\xbfcamera: a\n"), Settings) == {"camera": "a"}
    assert read_config_file(write("# nothing yet\n"), Settings) == {}


def test_the_largest_whole_number_is_kept(write):
    assert read_config_file(write(f"limit: {2**63 - 1}"), Settings) == {"limit": 2**63 - 1}


def test_the_command_line_says_it_in_one_line_and_ends_with_2(write):
    file = write(LAUGHS)

    result = subprocess.run(
        [sys.executable, "-m", "poseact.cli", "analyze", "--config", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {file}: ")
    assert result.stderr.count("\n") == 1
