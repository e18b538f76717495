# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From raw picture to joints, and from joints to actions
#
# What the pose model learns from, how it learns, and where it still fails: seven joints of the
# upper body, 14 numbers per person, learnt from film stills (FLIC). Then what an action model
# should be shown of them.
#
# `POSEACT_DATA` names the folder that holds `flic/` and `actions/`. Everything here is small enough
# for a laptop; `poseact train-pose` and `train-action` do the same on a cluster, for longer.

# %%
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, display
from matplotlib.figure import Figure

from poseact.datasets.action_sources import ActionSources
from poseact.datasets.actions import concatenate
from poseact.datasets.augment import CanvasBatch, Jitter, augment
from poseact.datasets.canvas import draw_canvases
from poseact.datasets.flic import read_flic
from poseact.datasets.person import read_picture
from poseact.evaluation.ablation import ablate
from poseact.evaluation.action_pictures import estimate_joints
from poseact.evaluation.find import CropFinder
from poseact.evaluation.protocols import measure
from poseact.evaluation.samples import HIT
from poseact.evaluation.subjects import people_subjects
from poseact.evaluation.worst import worst_sheet
from poseact.geometry import square_to_crop, transform_points, warp_crop
from poseact.models.bundle import SHIPPED
from poseact.models.runtime import PoseEstimator, load_pose
from poseact.review.draw import draw_pose, png_bytes
from poseact.skeleton import JOINTS
from poseact.training.action_steps import choose_films, read_bodies
from poseact.training.config import TrainPoseConfig
from poseact.training.curves import draw_curves
from poseact.training.pose_people import read_people
from poseact.training.pose_step import PoseTraining, Shard

DATA = Path(os.environ["POSEACT_DATA"])
FLIC = DATA / "flic"
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def show(pictures: list[np.ndarray]) -> None:
    """Show pictures of one size side by side."""
    display(Image(data=png_bytes(np.concatenate(pictures, axis=1))))


def show_figure(figure: Figure) -> None:
    """Show a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    display(Image(data=buffer.getvalue()))


# %% [markdown]
# ## Look at the data
#
# As the files are: people squashed to a square, red and blue exchanged. A model trained on them so
# does well on FLIC and badly on your cameras.

# %%
everybody = read_flic(FLIC)
print(f"{len(everybody)} people of {len({person.group for person in everybody})} films")
some = everybody[:: len(everybody) // 5][:5]
show([cv2.imread(str(person.path))[..., ::-1] for person in some])

# %% [markdown]
# Colours mended, proportions restored, joints drawn (the person's left in orange, the right in
# blue; some are seen from behind).

# %%


def square_picture(person, joints_J3, size_px=224):
    """Cut out the square around a person and draw joints into it."""
    matrix = square_to_crop(person.square, size_px)
    moved_J3 = np.column_stack([transform_points(joints_J3[:, :2], matrix), joints_J3[:, 2]])
    return draw_pose(warp_crop(read_picture(person), matrix, size_px), moved_J3, confidences=False)


show([square_picture(person, person.joints_J3) for person in some])

# %% [markdown]
# ## What the model is shown
#
# FLIC's crops were cut around the very joints that they are labelled with: a model can read the
# wrists off the border. So it never sees one as it is, but moved, scaled, turned, mirrored (left
# and right labels swapped), recoloured, and with something else where the picture ends.

# %%
canvases = draw_canvases(some)
batch = CanvasBatch.take(canvases, np.arange(len(some)), torch.device("cpu"))
for seed in range(2):
    views = augment(batch, 160, jitter=Jitter(), generator=torch.Generator().manual_seed(seed))
    pictures = views.rgb_BCHW.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    show(
        [
            draw_pose(np.ascontiguousarray(picture), joints.numpy(), confidences=False)
            for picture, joints in zip(pictures, views.joints_BJ3, strict=True)
        ]
    )

# %% [markdown]
# ## Train briefly
#
# The same few people and epochs, once from random weights, once from the weights that ship with the
# package (transfer). The shipped weights have seen these training people before, but nobody of the
# two films on which progress is measured.

# %%
FEW = {"data": (FLIC,), "out": Path("unused"), "limit": 128, "epochs": 3, "batch_size": 16}


def train(config):
    """Train in this process; return the figures of each epoch and the averaged network."""
    people = read_people(config)
    canvases = draw_canvases(people.train)
    device = torch.device("cpu")
    training = PoseTraining(config, len(canvases), device=device, shard=Shard())
    subjects = people_subjects(people.validation, description="held-out films")
    history = []
    for epoch in range(config.epochs):
        loss = training.run_epoch(canvases, np.ones(len(canvases), int), epoch)
        estimator = PoseEstimator.from_net(training.averaged.eval())
        pck = measure(CropFinder(estimator), subjects).errors().pck(HIT)
        history.append(
            {"epoch": epoch + 1, "loss": loss, **{f"pck_{k}": v for k, v in pck.items()}}
        )
    return history, estimator


# %%
history, from_random = train(TrainPoseConfig(**FEW, ema_decay=0.8))
show_figure(draw_curves(history))

# %%
history, transferred = train(
    TrainPoseConfig(**FEW, ema_decay=0.8, learning_rate=2e-4, base_weights=str(SHIPPED / "pose"))
)
show_figure(draw_curves(history))

# %% [markdown]
# So briefly, random weights learn little more than where joints usually are. What both say of
# people in the held-out films, first from random weights, then transferred:

# %%
held_out = read_people(TrainPoseConfig(**FEW)).validation
few = held_out[:: len(held_out) // 5][:5]
subjects = people_subjects(few, description="five people")
for estimator in (from_random, transferred):
    found_PJ3 = measure(CropFinder(estimator), subjects).found_PJ3
    show([square_picture(person, joints) for person, joints in zip(few, found_PJ3, strict=True)])

# %% [markdown]
# ## Where it fails
#
# The shipped bundle on people that it has not seen: every sixth of those who are test in FLIC's
# official split.

# %%
test = [person for person in everybody if person.official_split == "test"][::6]
samples = measure(
    CropFinder(load_pose()), people_subjects(test, description="FLIC test", group_kind="film")
)
distance_PJ = samples.errors().distance_PJ
by_joint = pd.DataFrame(
    {
        "PCK@0.2, %": 100 * (distance_PJ <= HIT).mean(axis=0),
        "median error, torsos": np.median(distance_PJ, axis=0),
    },
    index=JOINTS,
)
by_joint.round(3)

# %% [markdown]
# By film: dark scenes, crowds and people seen from behind are harder.

# %%
by_film = pd.DataFrame(samples.report()["groups"]).T.sort_values("mean")
by_film.round(1).head(8)

# %% [markdown]
# The people with the largest errors. Rings are the labels, which are not always right themselves.

# %%
display(Image(data=png_bytes(worst_sheet(samples, 12))))

# %% [markdown]
# ## From joints to actions
#
# The same small network names the action (namaste, hello, other) from three sets of features: the
# raw coordinates `xy` of the crop, the `distances` between all joints in body scales, and `graph`,
# which adds the directions of bones and what is known of each joint. People of FLIC get generated
# arms, and all who learn are shown hello **with the right hand only**. Mirroring (`flip`) is to
# teach the other hand, and has to exchange left and right labels to do so (`flip-swap`); a
# `mirror-exact` network scores a pose and its mirror image alike by construction.

# %%
sources = ActionSources(data=DATA)
bodies = read_bodies(sources, choose_films(sources, count=6, seed=0))
pictures = concatenate([bodies.train_pictures, bodies.test_pictures])
estimated = estimate_joints(pictures, sources.actions_folder)

compared = (
    ("xy", "none"),
    ("xy", "flip-swap"),
    ("distances", "none"),
    ("distances", "flip"),
    ("distances", "flip-swap"),
    ("distances", "mirror-exact"),
    ("graph", "flip-swap"),
)
rows = ablate(bodies, estimated, num_seeds=1, variants=compared)

# %% [markdown]
# On people of other films, in percent. With the crop as in training, raw coordinates do as well;
# half to twice as large, and anywhere in the crop, they fail, and distances do not change. Without
# mirroring nobody is seen to say hello with the left hand, nor with a flip that exchanges nothing.

# %%
shown = {
    "same scale": "true same accuracy",
    "any scale": "true any accuracy",
    "hello, right hand": "true same right",
    "hello, left hand": "true same left",
    "joints off by 0.1": "noisy same accuracy",
}
pd.DataFrame(
    {title: [100 * row.mean(name) for row in rows] for title, name in shown.items()},
    index=pd.MultiIndex.from_tuples(compared, names=("features", "augmentation")),
).round(1)

# %% [markdown]
# ## Next
#
# `poseact train-pose --help` has the rest: other networks (`--preset`), data to mix (`--data`,
# `--repeats`, `--rendered`), a teacher (`--teacher`), cross-validation (`--fold`); README's table
# shows what each way of training buys. `poseact evaluate-action --ablation` makes the last table
# in full, from five seeds; `poseact train-action --data` learns your own actions.
