"""Export the results of a run where its recordings are.

Takes the flags of `poseact export`:

    ray job submit --working-dir . -- python jobs/export.py /data/out --format overlay
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
