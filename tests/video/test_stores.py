"""Videos in object stores: found, probed and decoded as if they were files of this machine."""

from pathlib import Path

import numpy as np
import pytest

from poseact.errors import InputError, VideoError
from poseact.remote import RemotePath
from poseact.video.chunks import plan_chunks
from poseact.video.decode import decode_chunk
from poseact.video.find import absolute_path, camera_in_name, find_videos, start_in_name
from poseact.video.probe import probe, video_id_of

pytestmark = pytest.mark.faults

PICTURES = [np.full((48, 64, 3), 8 + 4 * i, np.uint8) for i in range(30)]


@pytest.fixture(params=["s3", "memory"])
def store(request, tmp_path):
    """Location of an empty folder in a store."""
    if request.param == "s3":
        return request.getfixturevalue("s3_folder")
    return f"memory://bucket{tmp_path}"


def _put(uri, content=b"content"):
    place = RemotePath.from_uri(uri)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return str(place)


def _video(make_by_pyav, name="v.mp4", **options):
    return Path(make_by_pyav(name, PICTURES, **options)).read_bytes()


@pytest.fixture
def folder(store):
    names = ("b.mp4", "a.MKV", "notes.txt", "gate/c.ts", "gate/._c.ts", ".trash/d.mp4")
    for name in names:
        _put(f"{store}/{name}")
    return store


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param([""], ["a.MKV", "b.mp4", "gate/c.ts"], id="a folder holds all below it"),
        pytest.param(["/gate/"], ["gate/c.ts"], id="with a slash"),
        pytest.param(["/b.mp4"], ["b.mp4"], id="one file"),
        pytest.param(["/notes.txt"], ["notes.txt"], id="a named file counts whatever its ending"),
        pytest.param(["/*.mp4", "/b.mp4"], ["b.mp4"], id="each file once"),
        pytest.param(["/**/*.ts"], ["gate/c.ts"], id="a glob goes into folders"),
        pytest.param(["/**/?.mp4"], ["b.mp4"], id="not into hidden ones"),
        pytest.param(["/b.mp4", "/g*"], ["b.mp4", "gate/c.ts"], id="a glob matches folders"),
    ],
)
def test_finds(folder, patterns, expected):
    found = find_videos([folder + pattern for pattern in patterns])

    assert found == [f"{folder}/{name}" for name in expected]
    assert [absolute_path(uri) for uri in found] == found


def test_places_here_and_in_a_store_are_found_together(folder, make_by_pyav):
    here = make_by_pyav("here.mp4", PICTURES)

    assert find_videos([folder + "/b.mp4", here]) == sorted([here, folder + "/b.mp4"])


@pytest.mark.parametrize("pattern", ["/absent.mp4", "/*.avi", "/nothing"])
def test_nothing_found_is_an_error_that_names_the_pattern(folder, pattern):
    with pytest.raises(InputError, match="no such file or folder"):
        find_videos([folder + pattern])


@pytest.mark.parametrize("name", ["[a] *.mp4", "a%20b#c?.mp4", "caméra.mp4", "-i:x.mp4"])
def test_odd_names(store, make_by_pyav, recover, name):
    uri = _put(f"{store}/{name}", _video(make_by_pyav))

    assert find_videos([store]) == find_videos([uri]) == [uri]
    assert recover(uri, offset=8).shown == list(range(30))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi", "v.flv"])
def test_frames_are_those_of_the_same_file_here(store, make_by_pyav, recover, name):
    content = _video(make_by_pyav, name, options={"g": "10"})
    here = recover(make_by_pyav(name, PICTURES, options={"g": "10"}), max_frames=7)

    got = recover(_put(f"{store}/gate/{name}", content), offset=8, max_frames=7)

    assert got.frames == here.frames
    assert got.shown == list(range(30))
    assert got.is_whole


def test_a_video_is_known_by_its_place_size_and_time(store, make_by_pyav):
    name = "gate_20240131T235958Z.mp4"
    uri = _put(f"{store}/{name}", _video(make_by_pyav))
    info = probe(uri)

    assert info.uri == uri
    assert info.video_id == video_id_of(uri)
    assert (camera_in_name(uri), start_in_name(uri)) == (info.camera_id, info.start_utc)
    assert info.camera_id == "gate"
    _put(f"{store}/{name}", _video(make_by_pyav) + b"\0\0\0\x08free")
    assert video_id_of(uri) != info.video_id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot be opened", id="absent"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"no video" * 100, "cannot be read as a video", id="text"),
    ],
)
def test_what_is_no_video(store, content, message):
    uri = f"{store}/v.mp4"
    if content is not None:
        _put(uri, content)

    with pytest.raises(VideoError, match=message) as caught:
        probe(uri)

    assert str(caught.value).startswith(f"{uri}: ")


def test_a_folder_is_no_video(folder):
    with pytest.raises(VideoError, match=r"is a folder|cannot be opened"):
        probe(f"{folder}/gate")


@pytest.mark.parametrize(
    "script",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
    ],
)
def test_a_script_in_a_store_reads_nothing_of_this_machine(store, make_by_pyav, script):
    here = make_by_pyav("secret.mp4", PICTURES)
    for target in (here, f"file:{here}", "secret.mp4"):
        uri = _put(f"{store}/v.mp4", script.format(target).encode())

        with pytest.raises(VideoError, match="cannot be read as a video"):
            probe(uri)


def test_a_damaged_object_gives_what_it_holds(store, make_by_pyav, recover):
    options = {"movflags": "+faststart"}
    content = _video(make_by_pyav, container_options=options, options={"g": "10", "bf": "0"})
    uri = _put(f"{store}/v.mp4", content[:-100])

    got = recover(uri, offset=8)

    assert 20 <= len(got.frames) < 30
    assert got.shown == got.indices == list(range(len(got.frames)))
    assert got.info.frames_expected == 30


def test_a_store_that_refuses_is_told_with_its_words(s3, s3_folder, make_by_pyav):
    uri = _put(f"{s3_folder}/v.mp4", _video(make_by_pyav))
    (chunk,) = plan_chunks(probe(uri), max_bytes=10**9)

    with s3.refusing("GET .*v.mp4"), pytest.raises(VideoError, match="ACCESS_DENIED") as caught:
        list(decode_chunk(chunk))
    assert uri in str(caught.value)
    with s3.refusing("v.mp4"), pytest.raises(VideoError, match="ACCESS_DENIED"):
        video_id_of(uri)
    with s3.refusing("list-type"), pytest.raises(InputError, match="ACCESS_DENIED"):
        find_videos([f"{s3_folder}/*.mp4"])


def test_a_store_that_fails_half_way_is_an_error_and_no_end_of_file(s3, s3_folder, make_noisy):
    """Else half a video would look like a whole one that is damaged."""
    content = Path(make_noisy("v.ts")).read_bytes()
    uri = _put(f"{s3_folder}/v.ts", content * 20)  # 5 MiB
    s3.requests()
    info = probe(uri)
    reads = [line for line in s3.requests() if line.startswith("GET")]
    (chunk,) = plan_chunks(info, max_bytes=10**9)
    frames = decode_chunk(chunk)

    next(frames)
    with s3.refusing("GET .*v.ts"), pytest.raises(VideoError, match="ACCESS_DENIED"):
        list(frames)

    assert 4 <= len(reads) <= 20
