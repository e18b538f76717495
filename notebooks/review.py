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
# # Review a run
#
# Opens what `poseact analyze` (or `poseact demo`) wrote, and shows which segments deserve a look.
# **A score is a prompt for a person, not a finding**: it says where to look, you decide what it is.
#
# `POSEACT_OUT` names the run; without it, this is the demo's. Nothing is loaded from the network.

# %%
import io
import os
from pathlib import Path

from IPython.display import Image, display

import poseact
from poseact.review.band import draw_band
from poseact.review.contact import contact_sheet
from poseact.review.draw import png_bytes

OUT = Path(os.environ.get("POSEACT_OUT", "../poseact-demo/run"))
videos = poseact.read_videos(OUT)
videos[["uri", "status", "frames_analyzed", "duration_s", "error"]]

# %% [markdown]
# ## Which segments
#
# `None` takes every camera or every action.

# %%
CAMERA = None
ACTION = None
MIN_SCORE = 0.0

segments = poseact.read_segments(OUT, camera=CAMERA, action=ACTION, min_score=MIN_SCORE)
segments = segments.sort_values("peak_score", ascending=False, ignore_index=True)
segments[["camera_id", "action", "hand", "start_utc", "start_s", "end_s", "peak_score", "severity"]]

# %% [markdown]
# ## Who did what, and when
#
# One row per person, one colour per action, nothing where nobody was; segments are framed.

# %%
timeline = poseact.read_timeline(OUT, camera=CAMERA)
band = io.BytesIO()
draw_band(timeline, segments, band)
display(Image(data=band.getvalue()))

# %% [markdown]
# If nothing was flagged: the highest score of each action, and when.

# %%
people = timeline[timeline["track_id"].notna()]
best = people.loc[people.groupby("action")["score"].idxmax()]
best[["action", "score", "camera_id", "pts_s", "time_utc"]]

# %% [markdown]
# ## One segment, frame by frame
#
# The person's left is orange, the right is blue. Heads are hidden; keep it so in every picture
# that leaves this notebook.

# %%
SEGMENT = 0

if segments.empty:
    print("No segment passes the filter above.")
else:
    segment = segments.iloc[SEGMENT]
    uri = videos.set_index("video_id").loc[segment["video_id"], "uri"]
    display(Image(data=png_bytes(contact_sheet(segment, timeline, uri))))
