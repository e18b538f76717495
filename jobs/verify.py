"""Check the tables of a run where they are.

Takes the flags of `poseact verify`:

    ray job submit --working-dir . -- python jobs/verify.py /data/out
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]]))
