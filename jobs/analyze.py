"""Analyze a folder of recordings.

Takes the flags of `poseact analyze`; the paths must exist on every node:

    ray job submit --working-dir . -- python jobs/analyze.py --videos /data/cameras --out /data/out
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["analyze", *sys.argv[1:]]))
