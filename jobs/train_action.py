"""Fit the action model on a cluster.

Takes the flags of `poseact train-action`; the paths must exist on every node:

    ray job submit --working-dir . -- python jobs/train_action.py --out /data/action
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["train-action", *sys.argv[1:]]))
