from poseact.skeleton import BONES, JOINTS, MIRROR


def test_mirroring_swaps_left_and_right_and_nothing_else():
    swap = {"l": "r", "r": "l"}
    expected = [name if name == "head" else swap[name[0]] + name[1:] for name in JOINTS]

    assert [JOINTS[joint] for joint in MIRROR] == expected


def test_the_mirrored_skeleton_has_the_same_bones():
    bones = {frozenset(bone) for bone in BONES}

    assert {frozenset(MIRROR[joint] for joint in bone) for bone in bones} == bones
