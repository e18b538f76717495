r"""Fit the pose model on a cluster.

Takes the flags of `poseact train-pose`; the paths must exist on every node:

    ray job submit --working-dir . -- \
        python jobs/train_pose.py --data /data/flic --out /data/pose --num-workers 4 --use-gpu
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["train-pose", *sys.argv[1:]]))
