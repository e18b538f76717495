"""Rendered people whose joints and actions are known exactly: source of the demo and of tests.

``render_scene`` paints one moment of a `Scene`, ``render_recording`` a stretch of time,
``render_training_person`` one upper body with any arms. Everything follows from seeds.
"""

from poseact.datasets.rendered.gestures import Act, Manner, sample_manner
from poseact.datasets.rendered.look import sample_look as sample_person
from poseact.datasets.rendered.place import Camera, sample_camera, sample_light
from poseact.datasets.rendered.scene import (
    Actor,
    RenderedPerson,
    Scene,
    acting_at,
    render_recording,
    render_scene,
)
from poseact.datasets.rendered.training import render_training_person

__all__ = [
    "Act",
    "Actor",
    "Camera",
    "Manner",
    "RenderedPerson",
    "Scene",
    "acting_at",
    "render_recording",
    "render_scene",
    "render_training_person",
    "sample_camera",
    "sample_light",
    "sample_manner",
    "sample_person",
]
