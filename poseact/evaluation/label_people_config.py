"""Settings of labelling people in recordings. Light: imports no torch."""

import dataclasses
from pathlib import Path

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelPeopleConfig:
    """Label the people in recordings by what two detectors of others agree on.

    Never label recordings that you measure by: they are no test any more once a model has
    learned from them.
    """

    videos: tuple[str, ...]
    """Files, folders (searched through) or glob patterns."""

    out: Path
    """New folder for the pictures and their labels, in the layout of coco_people."""

    peers: tuple[str, str]
    """The two detectors, each fastestdet:PATH or yolofastest:FOLDER."""

    every_s: float = 0.5
    """Seconds from one labelled frame of a recording to the next."""

    certain_share: float = 0.8
    """Share of its authors' threshold from which a find counts, if the other detector agrees: two
    together need not be as sure as one alone. At 0.8 they agree on 57 % of the people
    of coco_people val, and 88 % of those are people; at 1 it is 50 % and 93 %."""

    doubtful_share: float = 0.5
    """The same for a find that the other detector does not confirm, which makes a region to
    ignore. At 0.5 such regions hold 84 % of the people whom they do not agree on; at 0.7 69 %."""

    recordings: Path | None = None
    """Text file that says which videos are cut from the same recording, as sources.txt of
    Surveillance Camera Fight does; left out, every video is its own recording."""

    val: tuple[str, ...] = ()
    """Recordings for the split val; left out, about one in four, chosen by their names."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if not self.videos:
            raise ConfigError("videos: name at least one file, folder or pattern.")
        if not self.every_s > 0:
            raise ConfigError(f"every_s must be above 0, got {self.every_s}")
        if not 0 < self.doubtful_share <= self.certain_share <= 1:
            raise ConfigError(
                "doubtful_share and certain_share must lie in 0..1, the former not above the "
                f"latter, got {self.doubtful_share} and {self.certain_share}"
            )
