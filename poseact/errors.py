"""Every error a user of poseact can cause, and the exit code of the command that meets it.

    PoseactError
    |-- ConfigError       a setting is wrong              exit code 2
    |   `-- BundleError   a model bundle cannot be used
    |-- InputError        nothing usable to read          exit code 3
    |   `-- VideoError    one file cannot be decoded      (recorded, the job goes on)
    |       `-- UnforeseenVideoError    in a way that nobody thought of
    `-- OutputError       results cannot be written       exit code 4

A command that finished, but with some videos failed or partial, exits with ``EXIT_INCOMPLETE``;
``verify`` of tables that contradict each other with ``EXIT_WRONG``.
Messages say where, what is wrong (got and expected), and what to do next.
"""

EXIT_INCOMPLETE = 5
EXIT_WRONG = 6


class PoseactError(Exception):
    """Root of the tree; ``exit_code`` is what the command line returns for it."""

    exit_code = 1


class ConfigError(PoseactError):
    """A setting is wrong or contradicts another one."""

    exit_code = 2


class BundleError(ConfigError):
    """A model bundle is incomplete, damaged or of the wrong kind."""


class InputError(PoseactError):
    """There is nothing usable to read."""

    exit_code = 3


class VideoError(InputError):
    """One video cannot be decoded; it becomes a row of the ``videos`` table."""


class UnforeseenVideoError(VideoError):
    """What reads videos failed on one as nobody had thought of; another try will not help."""


class OutputError(PoseactError):
    """Results cannot be written."""

    exit_code = 4
