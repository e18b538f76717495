import json
import pickle

import pytest
import torch

from poseact.errors import BundleError, OutputError
from poseact.models.bundle import MANIFEST, WEIGHTS, read_bundle, write_bundle

MANIFEST_FIELDS = {"kind": "pose", "name": "tiny"}


@pytest.fixture
def folder(tmp_path):
    tensors = {"layer.weight": torch.tensor([1.0, 2.5]).half()}
    write_bundle(tmp_path / "tiny", manifest=MANIFEST_FIELDS, tensors=tensors)
    return tmp_path / "tiny"


def rewrite_manifest(folder, **changes):
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_was_written_is_read_as_float32(folder):
    bundle = read_bundle(folder, "pose")

    assert bundle.tensors["layer.weight"].tolist() == [1.0, 2.5]
    assert bundle.tensors["layer.weight"].dtype == torch.float32
    assert bundle.model_id == f"tiny@{bundle.manifest['files'][WEIGHTS][:12]}"


def test_the_same_weights_give_the_same_files(folder, tmp_path):
    tensors = {"layer.weight": torch.tensor([1.0, 2.5]).half()}
    write_bundle(tmp_path / "again", manifest=MANIFEST_FIELDS, tensors=tensors)

    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def damage_weights(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(content))


def pickle_weights(folder):
    import hashlib

    payload = pickle.dumps({"layer.weight": [1.0]})
    (folder / WEIGHTS).write_bytes(payload)
    rewrite_manifest(folder, files={WEIGHTS: hashlib.sha256(payload).hexdigest()})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        pytest.param(damage_weights, "hash", id="one flipped bit"),
        pytest.param(pickle_weights, "not safetensors", id="a pickle with the right hash"),
        pytest.param(lambda f: (f / WEIGHTS).unlink(), "cannot be read", id="weights missing"),
        pytest.param(lambda f: (f / MANIFEST).unlink(), "manifest", id="manifest missing"),
        pytest.param(lambda f: (f / MANIFEST).write_text("{"), "JSON", id="manifest cut off"),
        pytest.param(
            lambda f: rewrite_manifest(f, files={"../../etc/passwd": "0"}),
            "nothing else",
            id="a path out",
        ),
        pytest.param(
            lambda f: rewrite_manifest(f, files={}), "nothing else", id="no weights listed"
        ),
        pytest.param(lambda f: rewrite_manifest(f, kind="action"), "kind", id="another kind"),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused(folder, harm, message):
    harm(folder)

    with pytest.raises(BundleError, match=message):
        read_bundle(folder, "pose")


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot write"):
        write_bundle(tmp_path / "file" / "b", manifest=MANIFEST_FIELDS, tensors={})
