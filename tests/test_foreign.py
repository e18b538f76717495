import pytest

from poseact.foreign import printable, read_regular, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "/data/Hof süd 北門.mp4", "/data/Hof süd 北門.mp4", id="letters of any script"
        ),
        pytest.param("a\\nb 'c' \"d\"", "a\\nb 'c' \"d\"", id="quotes and backslashes"),
        pytest.param("a\nb\tc\rd", "a\\nb\\tc\\rd", id="breaks and tabs"),
        pytest.param("\x1b[2J\x07\x9b1m", "\\x1b[2J\\x07\\x9b1m", id="what terminals obey"),
        pytest.param("a\u2028b\u202ec", "a\\u2028b\\u202ec", id="line and direction marks"),
        pytest.param("caf\udce9", "caf\\udce9", id="a byte of no UTF-8 name"),
    ],
)
def test_only_what_cannot_be_printed_is_escaped(text, expected):
    assert printable(text) == expected
    assert printable(text).encode()


def test_a_long_value_is_cut():
    assert shown([1, "a\n"]) == r"[1, 'a\n']"
    assert shown("x" * 1000) == "'" + "x" * 119 + "..."


def test_a_number_that_python_does_not_write_is_told_as_such():
    assert shown([16**5000]) == "a number too long to show"


def test_a_file_of_just_the_size_is_read_and_a_larger_one_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")

    assert read_regular(tmp_path / "a", max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "a", max_bytes=4)
