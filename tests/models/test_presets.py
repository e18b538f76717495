import dataclasses
import functools
import json

import numpy as np
import pytest
import torch
import torchvision

from poseact.errors import BundleError, ConfigError
from poseact.models.bundle import write_bundle
from poseact.models.heatmaps import HeatmapShape
from poseact.models.presets import PRESETS, build_pose, pose_net, shape_from_manifest, start_from
from poseact.models.regression import RegressionShape
from poseact.models.runtime import PoseEstimator, load_pose
from poseact.models.simcc import SimccShape
from poseact.skeleton import MIRROR, NUM_JOINTS

SIZE = 64
SMALL = {
    "scratch": RegressionShape(preset="scratch", input_px=SIZE),
    "mobilenet": RegressionShape(preset="mobilenet", input_px=SIZE),
    "vgg16": RegressionShape(preset="vgg16", input_px=SIZE),
    "fast": HeatmapShape(input_px=SIZE, stem=8, widths=(8, 16, 16, 16), decoder=16),
    "simcc": SimccShape(input_px=SIZE, stem=8, widths=(8, 16, 16, 16)),
    "accurate": HeatmapShape(
        preset="accurate", input_px=SIZE, stem=8, widths=(8, 16, 16, 32), decoder=16
    ),
}
EVERY = pytest.mark.parametrize("preset", PRESETS)


def small(preset):
    torch.manual_seed(0)
    return build_pose(SMALL[preset])


@functools.cache
def untrained(preset):
    return small(preset).eval()


def some_joints(count=2):
    rng = torch.Generator().manual_seed(0)
    joints = torch.rand(count, NUM_JOINTS, 3, generator=rng) * (SIZE - 20) + 10
    joints[..., 2] = 1
    return joints


def write(folder, net, preset="fast"):
    manifest = {"kind": "pose", "name": preset, "architecture": dataclasses.asdict(net.shape)}
    return write_bundle(folder, manifest=manifest, tensors=net.state_dict())


@EVERY
def test_every_preset_decodes_to_seven_joints_with_a_confidence(preset):
    net = untrained(preset)

    joints = net.decode(net(torch.randn(2, 3, SIZE, SIZE)))

    assert joints.shape == (2, NUM_JOINTS, 3)
    assert ((joints[..., 2] >= 0) & (joints[..., 2] <= 1)).all()


@EVERY
def test_what_the_loss_asks_for_decodes_to_the_joints(preset):
    """Descend on the outputs themselves until they fit the labels best."""
    net = untrained(preset)
    labels = some_joints()
    with torch.no_grad():
        outputs = tuple(torch.zeros_like(part) for part in net(torch.randn(2, 3, SIZE, SIZE)))
    for part in outputs:
        part.requires_grad_()
    optimizer = torch.optim.Adam(outputs, lr=0.3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-3, total_iters=300)
    for _ in range(300):
        optimizer.zero_grad()
        net.loss(outputs, labels).backward()
        optimizer.step()
        schedule.step()

    found = net.decode(outputs).detach()

    assert (found[..., :2] - labels[..., :2]).abs().max() < 0.5
    assert found[..., 2].min() > 0.8


@EVERY
def test_an_unlabelled_joint_costs_nothing_wherever_it_is(preset):
    net = untrained(preset)
    outputs = net(torch.randn(2, 3, SIZE, SIZE))
    joints = some_joints()
    other = joints.clone()
    joints[0, 0] = torch.tensor([float("nan"), float("nan"), 0])
    other[0, 0] = torch.tensor([30.0, 3.0, 0])

    assert net.loss(outputs, joints) == net.loss(outputs, other)


@EVERY
def test_what_is_said_of_a_mirror_image_is_turned_back(preset):
    """A mirror image has every joint on the other side of the crop, left and right exchanged."""
    net = untrained(preset)
    outputs = net(torch.randn(2, 3, SIZE, SIZE))

    joints = net.decode(outputs)
    turned = net.decode(net.unmirrored(outputs))

    expected = joints[:, list(MIRROR)] * torch.tensor([-1, 1, 1]) + torch.tensor([SIZE, 0, 0])
    torch.testing.assert_close(turned, expected, atol=0.05, rtol=0)
    for once, twice in zip(outputs, net.unmirrored(net.unmirrored(outputs)), strict=True):
        assert torch.equal(once, twice)


@EVERY
def test_a_shape_survives_the_manifest(preset):
    as_json = json.loads(json.dumps(dataclasses.asdict(SMALL[preset])))

    assert shape_from_manifest(as_json) == SMALL[preset]


@pytest.mark.parametrize(
    "fields", [{"preset": "slow"}, {"preset": "fast", "depth": 3}, {"widths": [8]}], ids=str
)
def test_a_network_that_this_version_does_not_know_is_a_bundle_error(fields):
    with pytest.raises(BundleError, match="not known to this version"):
        shape_from_manifest(fields)


@pytest.mark.parametrize("preset", ["vgg16", "mobilenet"])
def test_a_torchvision_classifier_gives_its_convolutions(preset, tmp_path):
    vgg = torchvision.models.vgg
    classifier = {
        "vgg16": lambda: vgg.VGG(vgg.make_layers(vgg.cfgs["D"]), num_classes=2),
        "mobilenet": torchvision.models.mobilenet_v3_small,
    }[preset]()
    theirs = classifier.features.state_dict()
    convolutions = {f"features.{name}": value for name, value in theirs.items()}
    torch.save({**convolutions, "classifier.0.bias": torch.ones(1)}, tmp_path / "classifier.pt")
    net = small(preset)
    head = net.head[1].weight.clone()

    taken = start_from(net, str(tmp_path / "classifier.pt"))

    own = net.base[1].state_dict()
    assert taken == len(theirs)
    assert all(torch.equal(own[name], value) for name, value in theirs.items())
    assert torch.equal(net.head[1].weight, head)
    picture = torch.rand(1, 3, SIZE, SIZE) * 255
    as_imagenet = torchvision.transforms.functional.normalize(
        picture / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(
        net.eval().base((picture - 114) / 64),
        classifier.features.eval()(as_imagenet),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_deeper_net_that_starts_from_a_shallower_bundle_says_the_same(tmp_path):
    shallow = small("fast").eval()
    write(tmp_path, shallow)
    deep = build_pose(dataclasses.replace(SMALL["fast"], depths=(2, 2, 5, 6))).eval()

    start_from(deep, str(tmp_path))

    crops = torch.randn(2, 3, SIZE, SIZE)
    for one, two in zip(shallow(crops), deep(crops), strict=True):
        torch.testing.assert_close(one, two)


def test_simcc_takes_the_backbone_of_a_heat_map_bundle(tmp_path):
    fast = small("fast")
    write(tmp_path, fast)
    simcc = small("simcc")

    assert start_from(simcc, str(tmp_path)) == len(fast.base.state_dict())
    assert torch.equal(simcc.base.stem[0].weight, fast.base.stem[0].weight)


@pytest.mark.parametrize(
    ("preset", "make", "reason"),
    [
        pytest.param("fast", lambda _: "imagenet", "not for fast", id="no such base"),
        pytest.param("vgg16", lambda d: str(d / "none.pt"), "No such file", id="missing"),
        pytest.param(
            "vgg16",
            lambda d: (d / "t.pt").write_text("text") and str(d / "t.pt"),
            "not a state dict",
            id="text",
        ),
        pytest.param(
            "vgg16",
            lambda d: (
                torch.save({"features.0.weight": torch.ones(1)}, d / "s.pt") or str(d / "s.pt")
            ),
            "no layer",
            id="another net",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(preset, make, reason, tmp_path):
    with pytest.raises(ConfigError, match=reason):
        start_from(small(preset), make(tmp_path))


@EVERY
def test_every_preset_runs_from_its_bundle_in_batches_of_any_size(preset, tmp_path):
    net = untrained(preset)
    crops = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)

    estimator = load_pose(write(tmp_path, net, preset).path, "cpu")
    found = [estimator.predict(crops[:size]) for size in (1, 2, 5)]

    assert [len(joints) for joints in found] == [1, 2, 5]
    by_torch = PoseEstimator.from_net(net).predict(crops)
    distance_px = np.linalg.norm(found[-1][..., :2] - by_torch[..., :2], axis=2)
    assert np.median(distance_px) < 0.5  # bfloat16, and peaks that hardly stand out


def test_weights_of_another_architecture_are_a_bundle_error(tmp_path):
    bundle = write(tmp_path, small("simcc"), "simcc")
    tensors = {name: value for name, value in bundle.tensors.items() if name != "bins.bias"}

    with pytest.raises(BundleError, match="Train it again"):
        pose_net(dataclasses.replace(bundle, tensors=tensors))


def test_a_bundle_gives_its_network_back(tmp_path):
    net = small("simcc").eval()

    again = pose_net(write(tmp_path, net, "simcc"))

    crops = torch.randn(1, 3, SIZE, SIZE)
    assert torch.equal(net(crops)[0], again(crops)[0])
    assert not again.training
