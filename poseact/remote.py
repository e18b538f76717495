"""Places in object stores and on other file systems, with the methods of ``pathlib.Path``."""


class RemotePath:
    """A place in a store, named by a URI such as ``s3://bucket/folder/file``."""

    @staticmethod
    def from_uri(uri: str) -> "RemotePath":
        """Return the place; ConfigError if the kind of store is not known."""
        raise NotImplementedError
