"""The seven upper-body joints: their order, names, bones and left/right pairs.

Left and right are the person's own. The order is a chain from wrist to wrist, as in the FLIC
files; nothing else in the package spells an index out.
"""

from typing import Final

JOINTS: Final = (
    "l_wrist",
    "l_elbow",
    "l_shoulder",
    "head",
    "r_shoulder",
    "r_elbow",
    "r_wrist",
)
NUM_JOINTS: Final = len(JOINTS)

L_WRIST, L_ELBOW, L_SHOULDER, HEAD, R_SHOULDER, R_ELBOW, R_WRIST = range(NUM_JOINTS)

MIRROR: Final = (R_WRIST, R_ELBOW, R_SHOULDER, HEAD, L_SHOULDER, L_ELBOW, L_WRIST)
"""``joints[MIRROR]`` swaps the labels left and right, as a horizontal flip demands."""

BONES: Final = (
    (L_WRIST, L_ELBOW),
    (L_ELBOW, L_SHOULDER),
    (L_SHOULDER, R_SHOULDER),
    (R_SHOULDER, R_ELBOW),
    (R_ELBOW, R_WRIST),
    (L_SHOULDER, HEAD),
    (R_SHOULDER, HEAD),
)
"""Pairs of joints that are drawn as limbs."""

GROUPS: Final = {
    "wrist": (L_WRIST, R_WRIST),
    "elbow": (L_ELBOW, R_ELBOW),
    "shoulder": (L_SHOULDER, R_SHOULDER),
    "head": (HEAD,),
}
"""Joints that pose tables report together, left and right averaged."""
