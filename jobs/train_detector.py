r"""Fit the person detector on a cluster.

Takes the flags of `poseact train-detector`; the paths must exist on every node:

    ray job submit --working-dir . -- \
        python jobs/train_detector.py --data /data/coco_people --out /data/detector --use-gpu
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["train-detector", *sys.argv[1:]]))
