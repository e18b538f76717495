import pytest

from poseact.datasets.recordings import is_held_out, read_recordings
from poseact.errors import InputError


def read(tmp_path, text):
    path = tmp_path / "sources.txt"
    path.write_bytes(text.encode())
    return read_recordings(path)


def test_clips_belong_to_the_address_above_them(tmp_path):
    listed = read(
        tmp_path,
        "https://www.example.org/watch?v=-9z_d\r\nfi001: 0.1 - 0.2\r\nnofi001: 1.0.1 - 1.2\r\n\r\n"
        "https://www.example.org/watch?v=abc \r\nfi002: 0.1 - 0.2\r\n",
    )

    assert listed == {"fi001": "-9z_d", "nofi001": "-9z_d", "fi002": "abc"}


def test_a_range_names_all_its_clips(tmp_path):
    listed = read(tmp_path, "nofi008 - nofi011 : Some dataset\n")

    assert listed == dict.fromkeys(["nofi008", "nofi009", "nofi010", "nofi011"], "Some dataset")


def test_recordings_that_share_a_clip_are_one(tmp_path):
    listed = read(
        tmp_path,
        "http://a/b1\nfi1: x\nfi2: x\nhttp://a/a2\nfi3: x\nhttp://a/c3\nfi2: x\nfi3: x\nfi4: x\n"
        "http://a/d4\nfi5: x\n",
    )

    assert listed == {**dict.fromkeys(["fi1", "fi2", "fi3", "fi4"], "a2"), "fi5": "d4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("http://a/b\nfi001 0.1 - 0.2\n", "line 2: 'fi001 0.1", id="no colon"),
        pytest.param("fi001: 0.1 - 0.2\n", "line 1: 'fi001:", id="a clip of no recording"),
    ],
)
def test_a_line_that_is_neither_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read as text"):
        read_recordings(tmp_path / "none.txt")


def test_about_one_recording_in_four_is_held_out():
    held_out = [is_held_out(f"recording {number}") for number in range(2000)]

    assert 0.23 < sum(held_out) / len(held_out) < 0.27


def test_every_clip_of_the_real_list_has_its_recording(data_dir):
    folder = data_dir / "videos" / "cctv_fight"
    listed = read_recordings(folder / "sources.txt")
    clips = [path.stem for path in folder.rglob("*.mp4")]

    assert len(clips) == 80
    held_out = [is_held_out(listed[clip]) for clip in clips]
    assert sum(held_out) == 21
    # the list has nofi022 under both, and nofi076 in both ranges
    assert listed["fi045"] == listed["fi101"]
    assert listed["nofi062"] == listed["nofi091"]
    assert listed["fi001"] != listed["fi005"]
