"""Measure the pose, action or detector model on a cluster's machine, beside its data.

Takes the flags of `poseact evaluate-pose`, `evaluate-action` or `evaluate-detector`:

    ray job submit --working-dir . -- python jobs/evaluate.py pose --data /data/flic
    ray job submit --working-dir . -- python jobs/evaluate.py action
"""

import sys

from poseact.cli import main

if __name__ == "__main__":
    kind, flags = "".join(sys.argv[1:2]), sys.argv[2:]
    sys.exit(main([f"evaluate-{kind}", *flags]))
