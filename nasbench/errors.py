"""The errors a user can meet: each is one line that names the file, the key or the nearest valid choice."""

from __future__ import annotations


class NasbenchError(Exception):
    """An error meant for the user; its message is one line and complete without a traceback."""

    exit_code = 1


class UsageError(NasbenchError):
    """The command was called wrongly: a key, a choice, a path or a value. Exit code 2."""

    exit_code = 2


class RunError(NasbenchError):
    """The call was right but the run failed: a damaged file, a full disk, a killed worker. Exit code 1."""


class Interrupted(NasbenchError):  # noqa: N818 - not an error
    """The user pressed Ctrl-C. Exit code 130."""

    exit_code = 130


class DataError(NasbenchError):
    """One sample cannot be read. The run goes on with a failed row unless `on_error=fail`."""


class SegmentationError(NasbenchError):
    """One image cannot be segmented, for a reason that lies in the image or its activations."""


class SaliencyError(NasbenchError):
    """One image cannot be explained, for a reason that lies in the image, its class or the network."""


class WeightsError(NasbenchError):
    """A checkpoint is refused: code in it, wrong format, missing or unexpected keys."""
