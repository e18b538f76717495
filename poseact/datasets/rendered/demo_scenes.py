"""The two recordings of ``poseact demo``: who comes by which camera, and what they do there."""

import dataclasses
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from poseact.datasets.rendered.gestures import Act, Manner, Side
from poseact.datasets.rendered.look import sample_look
from poseact.datasets.rendered.place import Camera, sample_light
from poseact.datasets.rendered.scene import Actor, Scene, acting_at

DURATION_S: Final = 14.0
FPS: Final = 15

_WIDTH, _HEIGHT = 640, 480
_STATURE_PX: Final = 740.0
_FEET_Y: Final = 850.0
"""People are cut off at the hip: the whole frame is one person's, as long as nobody detects."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Visit:
    """One person who comes by."""

    seed: int
    """Decides the looks."""
    enter_s: float
    leave_s: float
    acts: tuple[tuple[str, Side, float, float], ...]
    """Gesture, hand, start and end in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Recording:
    """One camera for a while."""

    seed: int
    """Decides the place and its light."""
    visits: tuple[_Visit, ...]


_RECORDINGS: Final = {
    "lobby_20260302T080000Z": _Recording(
        seed=22,
        visits=(
            _Visit(seed=63, enter_s=0.2, leave_s=5.0, acts=(("hello", "right", 1.8, 4.6),)),
            _Visit(seed=46, enter_s=7.4, leave_s=12.4, acts=(("namaste", "left", 9.0, 12.0),)),
        ),
    ),
    "gate_20260302T080005Z": _Recording(
        seed=8,
        visits=(
            _Visit(
                seed=52,
                enter_s=0.2,
                leave_s=6.6,
                acts=(("hips", "right", 1.6, 3.2), ("hello", "left", 3.7, 6.3)),
            ),
            _Visit(seed=58, enter_s=8.8, leave_s=12.6, acts=(("crossed", "left", 10.2, 12.4),)),
        ),
    ),
}

RECORDINGS: Final = tuple(_RECORDINGS)
"""Names of the recordings, without ending; they tell the camera and the start in UTC."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acted:
    """One action that a recording shows and the analysis should find."""

    camera_id: str
    action: str
    hand: Literal["left", "right", "both"] | None
    start_s: float
    end_s: float


def demo_scene(name: str) -> Scene:
    """Return the scene of one of the ``RECORDINGS``."""
    recording = _RECORDINGS[name]
    return Scene(
        width=_WIDTH,
        height=_HEIGHT,
        actors=tuple(_actor(visit, index) for index, visit in enumerate(recording.visits)),
        light=sample_light(np.random.default_rng(recording.seed)),
        camera=Camera(noise=2.5),
        seed=recording.seed,
    )


def demo_truth() -> Iterator[Acted]:
    """Yield every action of the recordings but ``other``."""
    for name in RECORDINGS:
        for actor in demo_scene(name).actors:
            for act in actor.acts:
                action, hand = acting_at(actor, (act.start_s + act.end_s) / 2)
                if action != "other":
                    yield Acted(
                        camera_id=name.partition("_")[0],
                        action=action,
                        hand=hand,
                        start_s=act.start_s,
                        end_s=act.end_s,
                    )


def _actor(visit: _Visit, index: int) -> Actor:
    manner = Manner(raise_rad=1.4, phase_rad=float(visit.seed))
    return Actor(
        look=sample_look(np.random.default_rng(visit.seed)),
        acts=tuple(
            Act(gesture=gesture, hand=hand, start_s=start_s, end_s=end_s, manner=manner)
            for gesture, hand, start_s, end_s in visit.acts
        ),
        enter_s=visit.enter_s,
        leave_s=visit.leave_s,
        from_side="right" if index % 2 else "left",
        stature_px=_STATURE_PX,
        place_px=(_WIDTH / 2, _FEET_Y),
    )
