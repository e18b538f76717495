"""Times out of all bounds, from damaged or odd metadata, are unknown or a VideoError."""

import re
import struct
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from poseact.errors import VideoError
from poseact.video.find import camera_in_name, start_in_name
from poseact.video.probe import probe

pytestmark = pytest.mark.faults

PICTURES = [np.full((48, 64, 3), 8 + 4 * i, np.uint8) for i in range(30)]


@pytest.mark.parametrize(
    ("stamp", "start"),
    [
        pytest.param("00010101T000000Z", None, id="year 1"),
        pytest.param("19691231T235959Z", None, id="before 1970"),
        pytest.param("19700101T000000Z", datetime(1970, 1, 1, tzinfo=UTC), id="a clock never set"),
        pytest.param("22001231T235959Z", datetime(2200, 12, 31, 23, 59, 59, tzinfo=UTC), id="2200"),
        pytest.param("99991231T235959Z", None, id="year 9999"),
        pytest.param("00000000T000000Z", None, id="no date"),
    ],
)
def test_a_clock_in_the_name_that_cannot_be_is_unknown(stamp, start):
    assert start_in_name(f"/rec/gate_{stamp}.mp4") == start
    assert camera_in_name(f"/rec/gate_{stamp}.mp4") == ("gate" if start else "rec")


@pytest.mark.parametrize(
    ("written", "start"),
    [
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before the first day there is"),
        pytest.param("9999-12-31T23:59:59-14:00", None, id="after the last"),
        pytest.param("1904-01-01T00:00:00Z", None, id="zero of QuickTime"),
        pytest.param("2501-01-01T00:00:00", None, id="far future"),
        pytest.param(
            "2024-01-31T23:59:58", datetime(2024, 1, 31, 23, 59, 58, tzinfo=UTC), id="no zone"
        ),
        pytest.param("yesterday", None, id="no time"),
        pytest.param("9" * 5000, None, id="digits"),
    ],
)
def test_a_creation_time_that_cannot_be_is_unknown(make_by_pyav, written, start):
    """Here the text in an FLV, written under a name that PyAV does not take for its own."""
    uri = Path(make_by_pyav("v.flv", PICTURES, metadata={"xreation_time": written}))
    content = uri.read_bytes()
    assert content.count(b"xreation_time") == 1
    uri.write_bytes(content.replace(b"xreation_time", b"creation_time"))

    assert probe(str(uri)).start_utc == start


@pytest.mark.parametrize("seconds", [0, 2**32 - 1])
def test_the_ends_of_the_clock_of_an_mp4(make_by_pyav, seconds):
    uri = Path(make_by_pyav("v.mp4", PICTURES, metadata={"creation_time": "2024-01-31T00:00:00Z"}))
    content = bytearray(uri.read_bytes())
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        struct.pack_into(">I", content, content.find(box) + 8, seconds)
    uri.write_bytes(content)

    start = probe(str(uri)).start_utc

    assert start is None or start == datetime(1904, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("99:99:99.99999999999", id="four days"),
        pytest.param("999999999:00:00.0000", id="a hundred thousand years"),
        pytest.param("99999999999999999999", id="no time"),
        pytest.param("00:00:00.0000000000\0", id="nothing"),
    ],
)
def test_a_declared_duration_is_believed_up_to_ten_years(make_by_pyav, recover, written):
    uri = Path(make_by_pyav("v.mkv", PICTURES))
    content = uri.read_bytes()
    tag = re.search(rb"DURATIOND\x87.", content)
    place = content.find(b"00:00:01", tag.start())
    uri.write_bytes(content[:place] + written.encode()[:18].ljust(18, b"0") + content[place + 18 :])

    got = recover(str(uri), offset=8)

    assert got.shown == list(range(30))
    is_believed = written.startswith("99:99")
    assert got.info.duration_s == pytest.approx(99 * 3661 if is_believed else 1.0, abs=1)
    assert got.info.frames_expected == pytest.approx(30 * 99 * 3661 if is_believed else 30, abs=30)


def test_a_number_of_frames_of_more_than_ten_years_is_not_believed(make_by_pyav, recover):
    uri = Path(make_by_pyav("v.avi", PICTURES, codec="mpeg4"))
    content = bytearray(uri.read_bytes())
    struct.pack_into("<I", content, content.find(b"strh") + 8 + 32, 2**32 - 1)
    # at 1 frame in a thousand seconds
    struct.pack_into("<II", content, content.find(b"strh") + 8 + 20, 1000, 1)
    uri.write_bytes(content)

    got = recover(str(uri), offset=8)

    assert got.info.frames_expected == 30
    assert got.times_s == pytest.approx([1000 * i for i in range(30)])


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
def test_times_of_more_than_ten_years_are_an_error(make_by_pyav, name):
    pts = range(10**12, 10**12 + 30 * 33, 33)
    uri = make_by_pyav(name, PICTURES, pts=pts, time_base=Fraction(1, 1000))

    with pytest.raises(VideoError, match="its times are damaged: 30 frames"):
        probe(uri)


def test_one_damaged_time_costs_its_frames_only(make_by_pyav, recover):
    """Here the clock of one cluster of a Matroska."""
    uri = Path(
        make_by_pyav(
            "v.mkv",
            PICTURES,
            options={"g": "10", "bf": "0"},
            container_options={"cluster_time_limit": "300"},
        )
    )
    content = bytearray(uri.read_bytes())
    clusters = [hit.start() for hit in re.finditer(rb"\x1f\x43\xb6\x75", content)]
    place = content.find(b"\xe7\x82", clusters[1])
    assert struct.unpack_from(">H", content, place + 2) == (333,)
    # four bytes in the place of two, and of the checksum before them
    crc = content.find(b"\xbf\x84", clusters[1])
    assert place - crc == 6
    content[crc : place + 4] = b"\xe7\x88" + (10**15).to_bytes(8, "big")
    uri.write_bytes(content)

    got = recover(str(uri), offset=8)

    assert got.shown == [*range(10), *range(20, 30)]
    assert got.times_s == pytest.approx([i / 30 for i in got.shown], abs=1e-3)
    assert got.info.frames_expected == 30
    assert not got.is_whole
    assert recover(str(uri), max_frames=5).frames == got.frames
