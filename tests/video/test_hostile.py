"""Files and names made to harm: nothing else is read, nothing is skipped in silence."""

import contextlib
import io
import json
import os
import socket
import struct
import tempfile
import threading
import zlib
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poseact.errors import VideoError
from poseact.video.container import open_video
from poseact.video.find import find_videos
from poseact.video.mp4_index import why_not_credible
from poseact.video.probe import probe, video_id_of

pytestmark = pytest.mark.faults

SECRET_GREY = 248
PICTURES = [np.full((48, 64, 3), 8 + 4 * i, np.uint8) for i in range(10)]


@pytest.fixture
def listener():
    """A server on loopback, and the list of its visitors."""
    visitors = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):  # closed at the end
                while True:
                    connection, address = server.accept()
                    visitors.append(address)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", visitors
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def targets(tmp_path, listener, make_by_pyav):
    """What a file may name: an address, a video, and a pipe that blocks whoever opens it."""
    secret = make_by_pyav("secret.mp4", [np.full((48, 64, 3), SECRET_GREY, np.uint8)] * 10)
    os.mkfifo(tmp_path / "pipe.mp4")
    return {
        "http": f"http://{listener[0]}/secret.mp4",
        "tcp": f"tcp://{listener[0]}",
        "rtsp": f"rtsp://{listener[0]}/secret",
        "file": f"file://{secret}",
        "path": secret,
        "relative": "secret.mp4",
        "pipe": str(tmp_path / "pipe.mp4"),
    }


SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{0}\n#EXT-X-ENDLIST\n",
    "hls with a key": (
        '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{0}"\n#EXTINF:2.0,\n{0}\n#EXT-X-ENDLIST\n'
    ),
    "hls of hls": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{0}\n",
    "concat": "ffconcat version 1.0\nfile '{0}'\nduration 1\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={0}\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{0}\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet contentType="video"><Representation id="1" bandwidth="1"><BaseURL>{0}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "smooth streaming": '<SmoothStreamingMedia><StreamIndex Url="{0}"/></SmoothStreamingMedia>',
    "asx": '<asx version="3.0"><entry><ref href="{0}"/></entry></asx>',
    "asf reference": "[Reference]\nRef1={0}\nRef2={0}\n",
    "quicktime redirect": "rtsptext{0}",
    "image sequence": "{0}\n%03d.png\n",
    "vobsub": "# VobSub index file, v7\nid: en, index: 0\n# {0}\n",
    "edit list": "# mpv EDL v0\n{0},0,10\n",
    "avisynth": 'DirectShowSource("{0}")\n',
    "symbolic": "IntxLNK\1{0}",
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", ["v.mp4", "v.m3u8", "v.ffconcat", "v.mkv"])
def test_a_script_with_the_name_of_a_video_reads_nothing_else(
    tmp_path, listener, targets, script, name
):
    for target in targets.values():
        (tmp_path / name).write_text(SCRIPTS[script].format(target))

        with pytest.raises(VideoError, match="cannot be read as a video"):
            probe(str(tmp_path / name))
    assert listener[1] == []


def _peak_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def _box(name, content=b""):
    return struct.pack(">I4s", 8 + len(content), name) + content


def _claiming(content, num_frames):
    """The MP4 with an index that says so many frames of one byte, in a few numbers."""
    content = bytearray(content)
    for box, offset in {b"stsz": 8, b"stts": 8, b"stsc": 12}.items():
        struct.pack_into(">I", content, content.find(box) + 4 + offset, num_frames)
    struct.pack_into(">I", content, content.find(b"stsz") + 8, 1)
    return bytes(content)


def _with_first(content, boxes):
    (end,) = struct.unpack_from(">I", content)  # of the brand, which says that it is an MP4
    return content[:end] + boxes + content[end:]


def _with_raw_sound(content, num_frames):
    """The table of sizes is not used, as the one of times says a tick for each of its samples."""
    content = bytearray(_claiming(content, 1).replace(b"vide", b"soun"))
    struct.pack_into(">III", content, content.find(b"stts") + 8, 1, 10, 1)
    struct.pack_into(">I", content, content.find(b"stsc") + 16, min(1024 * num_frames, 2**32 - 1))
    return bytes(content)


def _run_claiming(content, num_frames):
    content = bytearray(content)
    place = content.find(b"trun") - 4
    (size,) = struct.unpack_from(">I", content, place)
    run = _box(b"trun", struct.pack(">III", 1, num_frames, 0))
    content[place : place + size] = run + _box(b"free", bytes(size - 8 - len(run)))
    return bytes(content)


def _in_its_description(content, num_frames):
    start = content.find(b"stsd") - 4
    (size,) = struct.unpack_from(">I", content, start)
    table = _box(b"stsz", struct.pack(">III", 0, 1, num_frames))
    entries = content[start + 8 : start + size] + table
    entries = entries[:8] + struct.pack(">I", len(entries) - 8) + entries[12:]
    return _insert(content, [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"], entries)


def _edits(content, num_frames):
    edit = struct.pack(">IiI", 333, 0, 1 << 16)
    edits = struct.pack(">II", 0, num_frames // 10) + edit * (num_frames // 10)
    return _insert(content, [b"moov", b"trak", b"edts", b"elst"], edits)


BOMBS = {
    "in a table of sizes": (_claiming, 10**9),
    "fewer of them": (_claiming, 10**7),
    "as sound": (lambda c, n: _claiming(c, n).replace(b"vide", b"soun"), 10**7),
    "as raw sound": (_with_raw_sound, 2**22),
    "by a sound without a track": (
        lambda c, n: _with_first(_claiming(c, n), _box(b"hdlr", bytes(8) + b"soun")),
        10**7,
    ),
    "after a fragment": (lambda c, n: _with_first(_claiming(c, n), _box(b"moof")), 10**7),
    "after many boxes": (lambda c, n: _with_first(_claiming(c, n), _box(b"free") * 2000), 10**7),
    "in a description": (_in_its_description, 10**7),
    "in a run": (_run_claiming, 10**7),
    "by edits": (_edits, 10**5),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_mp4_whose_index_counts_a_billion_frames_takes_no_memory(make_by_pyav, kind):
    bomb, num_frames = BOMBS[kind]
    flags = "+frag_keyframe+empty_moov" if bomb is _run_claiming else "+faststart"
    uri = Path(make_by_pyav("v.mp4", PICTURES * 5, container_options={"movflags": flags}))
    uri.write_bytes(bomb(uri.read_bytes(), num_frames))
    before_mb = _peak_mb()

    with pytest.raises(VideoError, match=r"claims [\d,]{7,} frames in [\d,]+ bytes"):
        probe(str(uri))

    assert _peak_mb() - before_mb < 100


def test_a_compressed_index_is_not_unpacked(make_by_pyav):
    uri = Path(make_by_pyav("v.mov", PICTURES))
    packed = _box(b"dcom", b"zlib") + _box(b"cmvd", struct.pack(">I", 10**9) + b"x")
    uri.write_bytes(_insert(uri.read_bytes(), [b"moov"], _box(b"cmov", packed)))

    with pytest.raises(VideoError, match="its index is compressed"):
        probe(str(uri))


@pytest.mark.timeout(30)
def test_a_track_of_very_many_boxes_is_refused(make_by_pyav):
    uri = Path(make_by_pyav("v.mov", PICTURES))
    uri.write_bytes(_insert(uri.read_bytes(), [b"moov", b"trak"], _box(b"free") * 10**6))

    with pytest.raises(VideoError, match="has 1,000 parts or more"):
        probe(str(uri))


def test_many_fragments_are_credible():
    run = _box(b"trun", struct.pack(">IIII", 0x201, 1, 0, 9))
    fragment = _box(b"moof", _box(b"traf", run)) + _box(b"mdat", bytes(9))
    file = io.BytesIO(fragment * 10_000)

    assert why_not_credible(file, len(file.getvalue())) is None


@pytest.mark.parametrize("name", ["v.mov", "v.avi"])
def test_a_picture_larger_than_its_header_says_takes_no_memory(tmp_path, name):
    side = 12_000
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(side * (side + 1)))), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in parts
    ]
    uri = str(tmp_path / name)
    with av.open(uri, "w") as container:
        stream = container.add_stream("png", 30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        stream.codec_context.open()
        packet = av.Packet(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        packet.pts, packet.stream = 0, stream
        container.mux(packet)
    before_mb = _peak_mb()

    with pytest.raises(VideoError, match="of no size that can be decoded"):
        probe(uri)

    assert _peak_mb() - before_mb < 60


def test_a_small_avi_that_declares_a_billion_frames_is_partial(make_by_pyav, recover):
    uri = Path(make_by_pyav("v.avi", PICTURES, codec="mpeg4"))
    content = bytearray(uri.read_bytes())
    struct.pack_into("<I", content, content.find(b"strh") + 8 + 32, 10**9)
    uri.write_bytes(content)
    before_mb = _peak_mb()

    got = recover(str(uri), offset=8)

    assert got.shown == pytest.approx(list(range(10)), abs=1)
    assert got.info.frames_expected in {10, 10**9}
    assert not got.is_whole or got.info.frames_expected == 10
    assert _peak_mb() - before_mb < 100


def _insert(content, path, extra):
    """Replace the content of an MP4's box, given by the names of the boxes that it is in."""
    content, starts, start = bytearray(content), [], 0
    for name in path:
        start = content.find(name, start)
        starts.append(start - 4)
    (size,) = struct.unpack_from(">I", content, starts[-1])
    content[starts[-1] + 8 : starts[-1] + size] = extra
    for box in starts:
        (before,) = struct.unpack_from(">I", content, box)
        struct.pack_into(">I", content, box, before + len(extra) - (size - 8))
    return bytes(content)


def _alias(target):
    """A Macintosh alias record: volume, file name, and the way to it both as folder and path."""
    text = target.encode()
    record = bytes(10) + b"\4disk" + bytes(27 - 4) + bytes(12)
    record += bytes([min(len(text), 63)]) + text[-63:].ljust(63, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    for kind in (0, 2, 18):
        record += struct.pack(">HH", kind, len(text)) + text + bytes(len(text) % 2)
    return record + b"\xff\xff\0\0"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [b"url ", b"alis", b"urn "])
def test_a_mov_whose_pictures_are_elsewhere_shows_none_of_them(
    make_by_pyav, recover, listener, targets, kind
):
    uri = Path(make_by_pyav("v.mov", PICTURES))  # its index comes last, so nothing moves
    content = uri.read_bytes()
    way = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    for target in targets.values():
        record = _alias(target) if kind == b"alis" else target.encode() + b"\0"
        entry = struct.pack(">I4sI", 12 + len(record), kind, 0) + record
        uri.write_bytes(_insert(content, way, struct.pack(">II", 0, 1) + entry))
        shown = []

        with contextlib.suppress(VideoError):
            shown = recover(str(uri), offset=8).shown

        assert set(shown) <= set(range(10))
    assert listener[1] == []


def test_the_alias_of_these_tests_is_one_that_ffmpeg_would_follow_if_told_to(make_by_pyav, targets):
    uri = Path(make_by_pyav("v.mov", PICTURES))
    way = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    record = _alias(targets["path"])
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    uri.write_bytes(_insert(uri.read_bytes(), way, struct.pack(">II", 0, 1) + entry))

    with av.open(str(uri), options={"enable_drefs": "1", "use_absolute_path": "1"}):
        opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert targets["path"] in opened
    with open_video(str(uri)):
        opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert str(uri) in opened
        assert targets["path"] not in opened


@pytest.mark.timeout(60)
def test_a_reference_movie_reads_nothing_else(tmp_path, listener, targets):
    for target in targets.values():
        text = target.encode() + b"\0"
        reference = struct.pack(">II4sI", 0, 0, b"url ", len(text)) + text
        content = struct.pack(">I4s", 8 + len(reference) - 4, b"rdrf") + reference[4:]
        for name in (b"rmda", b"rmra", b"moov"):
            content = struct.pack(">I4s", 8 + len(content), name) + content
        brand = struct.pack(">I4s4sI4s", 20, b"ftyp", b"qt  ", 0, b"qt  ")
        (tmp_path / "v.mov").write_bytes(brand + content)

        with pytest.raises(VideoError):
            probe(str(tmp_path / "v.mov"))
    assert listener[1] == []


def _element(name, content):
    """An EBML element with a length of eight bytes."""
    return name + b"\1" + len(content).to_bytes(7, "big") + content


@pytest.mark.timeout(60)
def test_a_matroska_that_names_others_shows_its_own_frames(
    make_by_pyav, recover, listener, targets
):
    """It names the file before, the file after, and a font and a playlist as attachments."""
    uri = Path(make_by_pyav("v.mkv", PICTURES, container_options={"live": "1"}))
    content = uri.read_bytes()
    first_cluster = content.find(b"\x1f\x43\xb6\x75")
    for target in targets.values():
        text = target.encode()
        info = _element(b"\x3c\x83\xab", text) + _element(b"\x3e\x83\xbb", text)
        playlist = SCRIPTS["hls"].format(target).encode()
        attachment = b"".join(
            _element(
                b"\x61\xa7",
                _element(b"\x46\x6e", text)
                + _element(b"\x46\x60", mime)
                + _element(b"\x46\x5c", playlist)
                + _element(b"\x46\xae", number),
            )
            for mime, number in [(b"application/x-truetype-font", b"\1"), (b"image/png", b"\2")]
        )
        extra = _element(b"\x15\x49\xa9\x66", info) + _element(b"\x19\x41\xa4\x69", attachment)
        uri.write_bytes(content[:first_cluster] + extra + content[first_cluster:])

        assert recover(str(uri), offset=8).shown == list(range(10))
    assert listener[1] == []


NAMES = [
    "a\nb.mp4",
    "a\tb\x1b[31m\x7f.mp4",
    """it's "quoted".mp4""",
    "<img src=x onerror=alert(1)>.mp4",
    "-i.mp4",
    "--help.mp4",
    "http:x.mp4",
    "file:x.mp4",
    "concat:a.mp4|b.mp4",
    "subfile,,start,0,end,9,,:x.mp4",
    "%03d.mp4",
    "[a].mp4",
    "*.mp4",
    "?.mp4",
    "{a,b}.mp4",
    "~.mp4",
    "$(touch x);`y`&.mp4",
    "back\\slash.mp4",
    "\\xe9.mp4",
    "space .mp4",
    "حرس\u202egpj.mp4",
    "caméra 🎥.mp4",
    "e" * 251 + ".mp4",
    "s3:bucket.mp4",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_odd_names_are_found_decoded_and_written(
    make_by_pyav, tmp_path, monkeypatch, recover, name
):
    folder = tmp_path / "recordings"
    folder.mkdir()
    Path(make_by_pyav("v.mp4", PICTURES)).rename(folder / name)
    (folder / "other.txt").touch()
    monkeypatch.chdir(folder)

    for pattern in (str(folder), ".", name, str(folder / name), str(tmp_path / "**" / "*.mp4")):
        assert find_videos([pattern]) == [str(folder / name)]
    got = recover(str(folder / name), offset=8)

    assert got.shown == list(range(10))
    uris = [got.info.uri]
    assert uris == [str(folder / name)]
    assert json.loads(json.dumps(uris)) == uris
    pq.write_table(pa.table({"uri": pa.array(uris, pa.string())}), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["uri"].to_pylist() == uris


def test_dots_in_a_path_lead_out_of_a_folder_as_they_should(make_by_pyav, tmp_path, monkeypatch):
    make_by_pyav("v.mp4", PICTURES)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")

    assert find_videos(["../v.mp4", "../below/../v.mp4"]) == [str(tmp_path / "v.mp4")]


def test_the_message_of_a_bad_file_is_one_line_whatever_its_name(tmp_path):
    uri = str(tmp_path / "a\nerror: b\x1b[2J.mp4")
    Path(uri).write_bytes(b"no video")

    with pytest.raises(VideoError, match=r"a\\nerror: b\\x1b\[2J.mp4: cannot be read") as caught:
        probe(uri)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", ["folder", "name", "glob", "within an odd folder"])
def test_a_name_that_is_not_utf8_is_refused_by_its_escaped_name(
    make_by_pyav, tmp_path, monkeypatch, place
):
    """Tables hold UTF-8 only; the row that tells of the file has to be written, too."""
    folder = tmp_path / ("caf\udce9" if "odd" in place else "cafe")
    folder.mkdir()
    name = "caf\udce9 [1].mp4"
    Path(make_by_pyav("v.mp4", PICTURES)).rename(folder / name)
    monkeypatch.chdir(folder)
    pattern = {"name": name, "glob": "*.mp4"}.get(place, str(folder))

    (uri,) = find_videos([pattern])

    assert uri.endswith("caf\\xe9 [1].mp4")
    assert pa.array([uri], pa.string()).to_pylist() == [uri]
    for look in (probe, video_id_of):
        with pytest.raises(VideoError, match=r"\[1\].mp4: the name is not UTF-8") as caught:
            look(uri)
        assert str(caught.value).isascii()


def test_links_are_followed_once(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("a/b/v.mp4", "elsewhere/w.mp4"):
        (tmp_path / name).touch()
    for link, to in [
        ("a/0", "b"),
        ("a/b/up", ".."),
        ("a/b/root", "/../" + str(tmp_path / "a")),
        ("a/self", "self"),
        ("a/self.mp4", "self.mp4"),
        ("a/gone.mp4", "gone"),
        ("a/linked", "../elsewhere"),
        ("a/b/linked too", "../../elsewhere"),
    ]:
        (tmp_path / link).symlink_to(to)

    found = find_videos([str(tmp_path / "a")])

    expected = ["a/b/v.mp4", "a/gone.mp4", "a/linked/w.mp4", "a/self.mp4"]
    assert found == [str(tmp_path / name) for name in expected]
    assert find_videos([str(tmp_path / "a/**")]) == found
    assert find_videos([str(tmp_path / "**/?.mp4")]) == [
        str(tmp_path / name) for name in ("a/b/v.mp4", "elsewhere/w.mp4")
    ]
    for broken in ("a/gone.mp4", "a/self.mp4"):
        with pytest.raises(VideoError, match="cannot be opened"):
            probe(str(tmp_path / broken))


def test_a_folder_with_the_name_of_a_video_is_searched_and_no_video(tmp_path):
    (tmp_path / "day.mp4").mkdir()
    (tmp_path / "day.mp4/v.mp4").touch()

    assert find_videos([str(tmp_path)]) == [str(tmp_path / "day.mp4/v.mp4")]
    with pytest.raises(VideoError, match="is a folder"):
        probe(str(tmp_path / "day.mp4"))


@pytest.fixture
def as_nobody():
    """A folder that everybody may read, and not to be root, who may read what nobody may."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder), (lambda: os.seteuid(65534) if os.geteuid() == 0 else None)
        if os.getuid() == 0:
            os.seteuid(0)


def test_a_folder_that_may_not_be_read_is_told(as_nobody):
    folder, become_nobody = as_nobody
    for name in ("open/v.mp4", "closed/w.mp4"):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    (folder / "closed").chmod(0)
    become_nobody()

    found = find_videos([str(folder)])

    assert found == [str(folder / "closed"), str(folder / "open/v.mp4")]
    assert find_videos([str(folder / "**/*.mp4")]) == found
    with pytest.raises(VideoError, match=r"cannot be searched \(Permission denied\)"):
        probe(found[0])
    assert find_videos([str(folder / "*/*.mp4")]) == found
    assert find_videos([str(folder / "closed/*.mp4")]) == [found[0]]


@pytest.mark.timeout(30)
def test_special_files_are_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))

        found = find_videos([str(tmp_path)])

        names = ("pipe.mp4", "socket.mp4", "zero.mp4")
        assert found == [str(tmp_path / name) for name in names]
        for uri in found:
            assert len(video_id_of(uri)) == 16
            with pytest.raises(VideoError, match="not a regular file"):
                probe(uri)
