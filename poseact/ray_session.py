"""The one place that starts Ray or connects to it."""

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from poseact.errors import ConfigError

OBJECT_STORE_BYTES = 1 << 30
"""Object store of a local Ray: enough for the chunks in flight, small enough for a laptop."""


@contextlib.contextmanager
def ray_session(*, dashboard: bool = False) -> Iterator[None]:
    """Use the cluster at ``RAY_ADDRESS``, or a Ray on this machine that ends with the block.

    A Ray that this process already uses is kept as it is.

    Args:
        dashboard: Start a local Ray with its dashboard, whose interface Ray Train asks about its
            workers.

    Raises:
        ConfigError: If ``RAY_ADDRESS`` names a cluster that does not answer.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    is_own = address == "local"
    try:
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            include_dashboard=dashboard if is_own else None,
            object_store_memory=OBJECT_STORE_BYTES if is_own else None,
        )
    except Exception as error:  # Ray has no class of its own for not being able to start
        raise ConfigError(
            f"Ray at {address!r} does not answer: {error}. Run `poseact doctor`; "
            "RAY_ADDRESS names the cluster, unset it to use this machine alone."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
