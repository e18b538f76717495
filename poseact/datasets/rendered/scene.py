"""Scenes: a place, a camera and people who walk in, act and walk out, with the truth about them."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from poseact.datasets.rendered.body import ArmPair, Posture, stand
from poseact.datasets.rendered.gestures import (
    Act,
    Manner,
    Side,
    act,
    action_of,
    blend_arms,
    share_of,
)
from poseact.datasets.rendered.look import Look
from poseact.datasets.rendered.paint import NOBODY, Canvas, Floats, Light
from poseact.datasets.rendered.person import Box, Joints, paint_person, shown_box, with_visibility
from poseact.datasets.rendered.place import Camera, expose, paint_backdrop
from poseact.geometry import ImageArray

_WALK_S = 1.2
"""Time to walk from outside the picture to the place of an actor."""


_IN_THE_ACT: Final = 0.5
_ARRIVED: Final = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actor:
    """One person of a scene: walks in, acts, walks out."""

    look: Look
    acts: tuple[Act, ...] = ()
    enter_s: float = -1e6
    """When the person starts to walk in; long ago means that it stands there from the start."""
    leave_s: float = 1e6
    """When the person starts to walk out."""
    from_side: Side = "left"
    """Side of the picture the person comes from; it leaves by the other one."""
    stature_px: float
    """Height of the person in the picture, whether or not it fits."""
    place_px: tuple[float, float]
    """Where the person stands: between the feet, pixels; may lie below the picture."""
    yaw_rad: float = 0.0
    depth: float = 0.0
    """Larger is nearer: painted later."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """A place, its light, its camera and the people who come by."""

    width: int
    height: int
    actors: tuple[Actor, ...]
    light: Light
    camera: Camera = dataclasses.field(default_factory=Camera)
    seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class RenderedPerson:
    """The truth about one person in one picture."""

    actor: int
    """Index of the actor in its scene."""
    joints_J3: Joints
    """x, y in pixels and 1 where the picture shows the joint, 0 where hidden or outside."""
    box_xyxy: Box
    """Box of what the picture shows of the person, pixels."""
    action: str
    hand: Literal["left", "right", "both"] | None


def render_scene(scene: Scene, t_s: float) -> tuple[ImageArray, list[RenderedPerson]]:
    """Paint one moment of a scene.

    Args:
        scene: Place and people.
        t_s: Time, seconds.

    Returns:
        Picture, (H, W, 3), uint8 RGB, and the people of which it shows something, far to near.
    """
    rgb_HWC = _empty_place(scene.seed, scene.width, scene.height).copy()
    owner_HW = np.full((scene.height, scene.width), NOBODY, np.int16)
    canvases: list[tuple[int, Canvas, Joints]] = []
    for index in sorted(range(len(scene.actors)), key=lambda i: scene.actors[i].depth):
        actor = scene.actors[index]
        if not _is_present(actor, t_s):
            continue
        canvas = Canvas(rgb_HWC, owner_HW, scene.light, float(actor.stature_px))
        offset = _walked(scene, actor, t_s)
        place = np.array(actor.place_px) + np.array([offset, 0.0])
        solid = stand(actor.look.body, _posture(actor, t_s, offset))
        joints_J2 = paint_person(canvas, actor.look, solid, person=index, origin_px=place)
        canvases.append((index, canvas, joints_J2))
    people = []
    for index, canvas, joints_J2 in canvases:
        box = shown_box(canvas, index)
        if box is not None:
            action, hand = acting_at(scene.actors[index], t_s)
            joints = with_visibility(canvas, joints_J2, index)
            people.append(RenderedPerson(index, joints, box, action, hand))
    noise = np.random.default_rng([scene.seed, round(abs(t_s) * 1000)])
    return expose(scene.camera, rgb_HWC, noise), people


def render_recording(
    scene: Scene, *, duration_s: float, fps: float
) -> Iterator[tuple[float, ImageArray, list[RenderedPerson]]]:
    """Paint a recording.

    Args:
        scene: Place and people.
        duration_s: Length, seconds.
        fps: Frames per second.

    Yields:
        Time in seconds, picture (H, W, 3) uint8 RGB, and the people in it, frame by frame.
    """
    for frame_index in range(round(duration_s * fps)):
        t_s = frame_index / fps
        yield t_s, *render_scene(scene, t_s)


def acting_at(actor: Actor, t_s: float) -> tuple[str, Literal["left", "right", "both"] | None]:
    """Return the action of an actor at a time and the hand of it, as the truth for a timeline."""
    for acting in actor.acts:
        if share_of(acting, t_s) >= _IN_THE_ACT:
            action = action_of(acting.gesture)
            if action == "namaste":
                return action, "both"
            return action, acting.hand if action == "hello" else None
    return "other", None


@functools.lru_cache(maxsize=4)
def _empty_place(seed: int, width: int, height: int) -> Floats:
    return paint_backdrop(np.random.default_rng([seed, 1]), width, height)


def _is_present(actor: Actor, t_s: float) -> bool:
    return actor.enter_s <= t_s < actor.leave_s + _WALK_S


def _walked(scene: Scene, actor: Actor, t_s: float) -> float:
    """Return how far an actor is from its place, pixels to the right."""
    coming = min(1.0, (t_s - actor.enter_s) / _WALK_S) - 1
    going = max(0.0, (t_s - actor.leave_s) / _WALK_S)
    direction = 1.0 if actor.from_side == "left" else -1.0
    return direction * (coming + going) * (0.5 * scene.width + 0.3 * actor.stature_px)


def _posture(actor: Actor, t_s: float, offset: float) -> Posture:
    arms: ArmPair = act(
        actor.look.body,
        Act(gesture="idle", start_s=0, end_s=0, manner=_manner_of(actor)),
        t_s,
    )
    for acting in actor.acts:
        share = share_of(acting, t_s)
        if share > 0:
            arms = blend_arms(arms, act(actor.look.body, acting, t_s), share)
    walking = min(1.0, abs(offset) / (0.1 * actor.stature_px))
    heading = 1.0 if actor.from_side == "left" else -1.0
    sway = 0.02 * np.sin(0.9 * t_s)
    return Posture(
        arms=arms,
        yaw_rad=(1 - walking) * actor.yaw_rad + walking * heading * 1.1,
        lean_rad=float(sway),
        head_yaw_rad=float(0.15 * np.sin(0.7 * t_s) * (1 - walking)),
        head_pitch_rad=0.06,
        stride_rad=2 * np.pi * t_s if walking > _ARRIVED else None,
    )


def _manner_of(actor: Actor) -> Manner:
    return actor.acts[0].manner if actor.acts else Manner()
