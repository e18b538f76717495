"""Find actions anew in the joints of a run where its tables are.

Takes the flags of `poseact rescore`:

    ray job submit --working-dir . -- python jobs/rescore.py /data/out --action-model /data/action
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    sys.exit(main(["rescore", *sys.argv[1:]]))
