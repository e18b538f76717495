"""Bundles and weights that are meant to do harm: each is one clear line, and nothing is run."""

import hashlib
import json
import os
import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from poseact.errors import BundleError, ConfigError
from poseact.models.action import FrameShape, TemporalShape, load_action
from poseact.models.bundle import MANIFEST, WEIGHTS, read_bundle, write_bundle
from poseact.models.detection import load_detector
from poseact.models.detector import DetectorNet, DetectorShape
from poseact.models.heatmaps import HeatmapNet, HeatmapShape
from poseact.models.presets import PRESETS, build_pose, start_from
from poseact.models.runtime import load_pose
from poseact.models.simcc import SimccShape
from poseact.models.torchvision_detector import load_torchvision
from poseact.models.trust import read_state_dict

pytestmark = pytest.mark.faults


def str_id(value):
    return repr(value)[:50]


SMALL = {"stem": 8, "widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "input_px": 64}
POSE = {"preset": "fast", "decoder": 8, **SMALL}
DETECTOR = {"neck": 8, **SMALL}
LOADERS = {"pose": load_pose, "detector": load_detector, "action": load_action}


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def bomb(tmp_path):
    """A pickle that makes a file when it is read, and the proof that this one would."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "proof")))  # noqa: S301 - our own
    assert (tmp_path / "proof").exists()
    yield Bomb(tmp_path / "burst")
    assert not (tmp_path / "burst").exists()


@pytest.fixture
def folder(tmp_path):
    """A sound bundle of a small pose model."""
    net = HeatmapNet(HeatmapShape(**{k: _tuple(v) for k, v in POSE.items()}))
    write(tmp_path / "bundle", "pose", net, architecture=POSE)
    return tmp_path / "bundle"


@pytest.fixture
def detector_folder(tmp_path):
    net = DetectorNet(DetectorShape(**{k: _tuple(v) for k, v in DETECTOR.items()}))
    write(tmp_path / "bundle", "detector", net, architecture=DETECTOR, threshold=0.3)
    return tmp_path / "bundle"


@pytest.fixture
def action_folder(tmp_path):
    shape = FrameShape(hidden=4)
    fields = {"kind": "frame", "hidden": 4}
    classes = ["hello", "other"]
    write(tmp_path / "bundle", "action", shape.new_net(2), architecture=fields, classes=classes)
    return tmp_path / "bundle"


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def write(folder, kind, net, **manifest):
    write_bundle(
        folder, manifest={"kind": kind, "name": "tiny", **manifest}, tensors=net.state_dict()
    )


def manifest_of(folder):
    return json.loads((folder / MANIFEST).read_text())


def change_manifest(folder, **changes):
    (folder / MANIFEST).write_text(json.dumps(manifest_of(folder) | changes))


def put_weights(folder, content):
    """Replace the weights and give the manifest their true hash."""
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(content)
    change_manifest(folder, files={WEIGHTS: hashlib.sha256(content).hexdigest()})


def message_of(error):
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 800
    return message


def refused(folder, kind="pose"):
    with pytest.raises(BundleError) as error:
        LOADERS[kind](folder)
    message = message_of(error)
    assert message.startswith(str(folder))
    return message


def test_the_bundle_that_is_harmed_below_is_sound(folder):
    assert load_pose(folder, "cpu").input_px == 64


def test_pickled_weights_are_never_unpickled(folder, bomb):
    put_weights(folder, pickle.dumps(bomb))

    assert "not safetensors" in refused(folder)


def test_weights_saved_by_torch_are_never_unpickled(folder, bomb):
    torch.save({"weight": bomb}, folder / "model.pt")
    put_weights(folder, (folder / "model.pt").read_bytes())

    assert "not safetensors" in refused(folder)


def test_a_pickle_beside_the_weights_is_not_looked_at(folder, bomb):
    for name in ("model.pt", "model.pkl", "pytorch_model.bin", "model.safetensors.pkl"):
        (folder / name).write_bytes(pickle.dumps(bomb))

    load_pose(folder, "cpu")


@pytest.mark.parametrize(
    "name",
    ["../other/model.safetensors", "/etc/passwd", "model.pt", "./model.safetensors", "", "a\0b"],
)
@pytest.mark.parametrize("beside", [True, False], ids=["beside the weights", "instead"])
def test_a_manifest_that_names_another_file_is_refused(folder, name, beside):
    files = manifest_of(folder)["files"] if beside else {}
    change_manifest(folder, files={**files, name: "0" * 64})

    assert "and nothing else" in refused(folder)


def test_a_link_to_another_file_has_another_hash(folder, tmp_path):
    (tmp_path / "secret").write_text("hidden words")
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("../secret")

    message = refused(folder)

    assert "hash is" in message
    assert "hidden" not in message


def test_a_link_to_the_right_file_is_followed(folder, tmp_path):
    """As in the caches of model hubs; the hash says that it is the right one."""
    (folder / WEIGHTS).rename(tmp_path / "blob")
    (folder / WEIGHTS).symlink_to(tmp_path / "blob")

    load_pose(folder, "cpu")


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
@pytest.mark.parametrize(
    "replace",
    [
        pytest.param(os.mkfifo, id="a pipe"),
        pytest.param(Path.mkdir, id="a folder"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), id="a device without an end"),
        pytest.param(lambda path: path.symlink_to(path.name), id="a link to itself"),
    ],
)
def test_what_is_no_file_is_not_waited_for(folder, name, replace):
    (folder / name).unlink()
    replace(folder / name)

    assert "cannot be read" in refused(folder)


@pytest.mark.parametrize(("name", "size"), [(WEIGHTS, 5 * 1024**3), (MANIFEST, 17 * 1024**2)])
def test_a_file_larger_than_any_model_is_not_read(folder, name, size, tmp_path, monkeypatch):
    monkeypatch.setattr("poseact.models.bundle._MAX_WEIGHTS_BYTES", 32 * 1024**2)
    os.truncate(folder / name, size)  # sparse

    assert "larger than" in refused(folder)


def raw(header, data=b"\0" * 4):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + data


def tensor(shape, dtype="F32", offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x08", id="half a length"),
        pytest.param(struct.pack("<Q", 2**63) + b"{}", id="a header of 8 EiB"),
        pytest.param(struct.pack("<Q", 99_000_000) + b"{}", id="a header of 99 MB"),
        pytest.param(raw(b'{"a":' * 100_000), id="a deep header"),
        pytest.param(raw({"a": tensor([10**12])}), id="a tensor of 4 TB in 4 bytes"),
        pytest.param(raw({"a": tensor([2**62, 8])}), id="a size beyond 64 bits"),
        pytest.param(raw({"a": tensor([0, 2**63], offsets=(0, 0))}, b""), id="no rows of 2**63"),
        pytest.param(raw({"a": tensor([-1])}), id="a negative size"),
        pytest.param(raw({"a": tensor([1], offsets=(4, 8))}, b"\0" * 8), id="a gap"),
        pytest.param(raw({"a": tensor([1]), "b": tensor([1])}), id="bytes of two tensors"),
        pytest.param(raw({"a": tensor([8], "F4")}), id="a format that torch has not"),
        pytest.param(raw({"a": tensor([4], "PICKLE")}), id="a format that nobody has"),
    ],
)
def test_safetensors_that_lie_about_their_size_are_refused(folder, content):
    put_weights(folder, content)

    assert "not safetensors" in refused(folder)


@pytest.mark.parametrize(
    "value",
    [torch.tensor(float("nan")), torch.tensor(float("-inf")), torch.tensor(1 + 0j)],
    ids=["NaN", "infinity", "complex"],
)
def test_weights_that_no_training_gives_are_refused(folder, value):
    tensors = dict(read_bundle(folder, "pose").tensors)
    put_weights(folder, save(tensors | {"absent.bias": value.expand(7).contiguous()}))

    assert "'absent.bias' holds numbers that no weight can be" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"absent.bias": torch.zeros(8)}, "'absent.bias' is 8, expected 7", id="size"),
        pytest.param({"absent.bias": torch.zeros(7, 1)}, "is 7x1, expected 7", id="rank"),
        pytest.param({"absent.bias": torch.zeros(0, 2**40)}, "is 0x1099", id="no rows, but long"),
        pytest.param({"absent.bias": None}, "is absent, expected 7", id="a tensor left out"),
        pytest.param({"a\nb": torch.zeros(1)}, r"'a\nb' is 1, expected absent", id="one too many"),
    ],
)
def test_tensors_of_another_shape_are_refused_by_name(folder, changes, expected):
    tensors = {**read_bundle(folder, "pose").tensors, **changes}
    put_weights(folder, save({name: value for name, value in tensors.items() if value is not None}))

    assert expected in refused(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [2048] * 4},
        {"stem": 2048},
        {"decoder": 2048},
        {"depths": [64] * 4},
    ],
    ids=str,
)
def test_a_network_larger_than_its_file_is_refused_before_it_is_built(folder, changes):
    change_manifest(folder, architecture=POSE | changes)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert "weights do not fit its architecture" in refused(folder)

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 200 * 1024  # such a network has up to 1.4 GB


ABSURD = [10**9, 2**63, 2**70, -1, 0, True, 8.0, "8", None, [8], {}, float("nan"), float("inf")]


@pytest.mark.parametrize("value", ABSURD, ids=repr)
@pytest.mark.parametrize("field", ["stem", "decoder", "input_px"])
def test_an_absurd_number_is_refused(folder, field, value):
    change_manifest(folder, architecture=POSE | {field: value})

    message = refused(folder)

    assert "architecture: not known to this version" in message
    assert field in message


@pytest.mark.parametrize(
    "changes",
    [
        *({"widths": [8, 8, 8, value]} for value in ABSURD),
        *({"depths": [1, 1, 1, value]} for value in ABSURD if value != 0),
        {"widths": [8] * 100_000},
        {"widths": []},
        {"depths": [1, 1, 1]},
        {"widths": 8},
        {"input_px": 100},
        {"preset": "slow"},
        {"preset": ["fast"]},
        {"preset": None},
        {"layers": 3},
        {"__class__": "os.system"},
    ],
    ids=lambda changes: repr(changes)[:60],
)
def test_an_architecture_that_cannot_be_is_refused(folder, changes):
    change_manifest(folder, architecture=POSE | changes)

    assert "architecture: not known to this version" in refused(folder)


@pytest.mark.parametrize("value", [None, [], "fast", 3, {}, {"preset": {}}], ids=repr)
@pytest.mark.parametrize("kind", ["pose", "detector", "action"])
def test_an_architecture_that_is_none_is_refused(request, kind, value):
    folder = request.getfixturevalue("folder" if kind == "pose" else f"{kind}_folder")
    change_manifest(folder, architecture=value)

    refused(folder, kind)


def test_without_an_architecture_there_is_no_network(folder):
    manifest = manifest_of(folder)
    del manifest["architecture"]
    (folder / MANIFEST).write_text(json.dumps(manifest))

    assert "architecture" in refused(folder)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "is not JSON", id="empty"),
        pytest.param("kind: pose", "is not JSON", id="YAML"),
        pytest.param(pickle.dumps({"kind": "pose"}), "is not JSON", id="a pickle"),
        pytest.param(b'{"kind": "caf\xe9"}', "is not JSON", id="Latin-1"),
        pytest.param(DEEP, "is not JSON", id="deep"),
        pytest.param('{"kind": ' * 100_000, "is not JSON", id="deep mappings"),
        pytest.param(
            '{"threshold": ' + "9" * 5000 + "}", "is not JSON", id="an int of 5,000 digits"
        ),
        pytest.param('{"kind": "pose", "kind": "action"}', "'kind' is given twice", id="twice"),
        pytest.param('{"files": {"a": 1, "a": 2}}', "'a' is given twice", id="twice, further down"),
        pytest.param("[]", "'files' must give", id="a list"),
        pytest.param("null", "'files' must give", id="nothing"),
        pytest.param('{"files": ["model.safetensors"]}', "'files' must give", id="files as a list"),
    ],
)
def test_a_manifest_that_is_none_is_refused(folder, text, expected):
    (folder / MANIFEST).write_bytes(text if isinstance(text, bytes) else text.encode())

    assert expected in refused(folder)


@pytest.mark.parametrize("value", [None, 3, [], {}, "", "0" * 64, True, float("nan")], ids=repr)
def test_a_hash_that_is_not_that_of_the_file_is_refused(folder, value):
    change_manifest(folder, files={WEIGHTS: value})

    assert "hash is" in refused(folder)


@pytest.mark.parametrize("value", [None, 3, ["pose"], {"pose": 1}, "x" * 10**6], ids=str_id)
def test_a_kind_of_another_type_is_refused(folder, value):
    change_manifest(folder, kind=value)

    assert "is a bundle of kind" in refused(folder)


@pytest.mark.parametrize("value", [None, 3, [], "", "a\nb", "\x1b[2J", "x" * 10**6], ids=str_id)
def test_a_name_that_tables_cannot_hold_is_refused(folder, value):
    change_manifest(folder, name=value)

    assert "'name' must be" in refused(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"mirror_test": "false"},
        {"mirror_test": 1},
        {"calibration": []},
        {"calibration": {"slope": 1.0}},
        {"calibration": {"slope": float("nan"), "offset": 0.0}},
        {"calibration": {"slope": 10**400, "offset": 0.0}},
        {"calibration": {"slope": "1", "offset": 0.0}},
    ],
    ids=str_id,
)
def test_a_pose_model_that_cannot_be_run_as_it_says_is_refused(folder, changes):
    change_manifest(folder, **changes)

    assert next(iter(changes)) in refused(folder)


@pytest.mark.parametrize(
    "value", [None, "0.3", [], True, -0.1, 1.1, float("nan"), float("inf"), 10**400], ids=str_id
)
def test_a_threshold_that_is_no_probability_is_refused(detector_folder, value):
    change_manifest(detector_folder, threshold=value)

    assert "threshold" in refused(detector_folder, "detector")


def test_a_detector_without_a_threshold_is_refused(detector_folder):
    manifest = manifest_of(detector_folder)
    del manifest["threshold"]
    (detector_folder / MANIFEST).write_text(json.dumps(manifest))

    assert "threshold" in refused(detector_folder, "detector")


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": 1e-300},
        {"temperature": float("nan")},
        {"temperature": "1"},
        {"classes": None},
        {"classes": "other"},
        {"classes": ["other", "other"]},
        {"classes": ["other", ""]},
        {"classes": ["other", "a\x1b[2J"]},
        {"classes": ["other", 3]},
        {"classes": ["hello", "wave"]},
        {"classes": [str(i) for i in range(100_000)] + ["other"]},
        {"architecture": {"kind": "frame", "hidden": 10**9}},
        {"architecture": {"kind": "frame", "hidden": 2048}},
        {"architecture": {"kind": "temporal", "samples": 10**9}},
        {"architecture": {"kind": "temporal", "samples": 2}},
        {"architecture": {"kind": "temporal", "window_s": float("nan")}},
        {"architecture": {"kind": "temporal", "window_s": 1e300}},
        {"architecture": {"kind": "temporal"}},
        {"architecture": {"kind": ["frame"]}},
    ],
    ids=str_id,
)
def test_an_action_model_that_cannot_be_is_refused(action_folder, changes):
    change_manifest(action_folder, **changes)

    refused(action_folder, "action")


def test_every_shape_that_is_shipped_or_trained_is_allowed():
    for shape in (*PRESETS.values(), DetectorShape(), FrameShape(), TemporalShape(), SimccShape()):
        assert shape


def refused_weights(weights, tmp_path, start):
    with pytest.raises(ConfigError) as error:
        start(weights)
    message = message_of(error)
    assert str(weights) in message
    return message


def start_pose(weights):
    start_from(build_pose(PRESETS["mobilenet"]), str(weights))


def start_detector(weights):
    load_torchvision("ssdlite320_mobilenet_v3_large", weights, "cpu")


WEIGHTS_FLAG = pytest.mark.parametrize(
    "start", [start_pose, start_detector], ids=["--base-weights", "--detector-weights"]
)


@WEIGHTS_FLAG
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_that_would_run_something_is_not_unpickled(tmp_path, bomb, start, zipped):
    content = {"features.0.0.weight": torch.ones(16, 3, 3, 3), "x": bomb}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)

    assert "not a state dict" in refused_weights(tmp_path / "w.pt", tmp_path, start)


@WEIGHTS_FLAG
def test_a_plain_pickle_is_not_unpickled(tmp_path, bomb, start):
    (tmp_path / "w.pt").write_bytes(pickle.dumps(bomb))

    assert "not a state dict" in refused_weights(tmp_path / "w.pt", tmp_path, start)


@WEIGHTS_FLAG
@pytest.mark.parametrize(
    "content",
    [[1, 2], torch.ones(2), 3, {"features.0.0.weight": 3}, {3: torch.ones(1)}, {"a": {}}],
    ids=["list", "tensor", "number", "number in a dict", "number as a name", "dict in a dict"],
)
def test_what_is_no_state_dict_is_refused(tmp_path, start, content):
    torch.save(content, tmp_path / "w.pt")

    assert "holds no state dict" in refused_weights(tmp_path / "w.pt", tmp_path, start)


def test_damaged_state_dicts_are_refused_whatever_torch_makes_of_them(tmp_path):
    """Bytes of the two formats are changed at random; about half of them can still be read."""
    rng = np.random.default_rng(0)
    num_refused = 0
    for zipped in (True, False):
        torch.save({"a": torch.ones(4)}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        sound = (tmp_path / "w.pt").read_bytes()
        for _ in range(500):
            content = np.frombuffer(sound, np.uint8).copy()
            content[rng.integers(0, len(content), rng.choice([1, 2, 8]))] = rng.integers(256)
            (tmp_path / "w.pt").write_bytes(content.tobytes()[: rng.choice([len(content), 200])])
            try:
                read_state_dict(tmp_path / "w.pt", "base_weights")
            except ConfigError:
                num_refused += 1

    assert 300 < num_refused < 1000
