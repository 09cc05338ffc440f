"""The errors mien raises. Each message says what was wrong and what to do next."""


class MienError(Exception):
    """Anything mien raises on purpose; catch this to catch them all."""


class UsageError(MienError, ValueError):
    """An argument or option that cannot be honoured, with the values that can."""


class UnreadableError(MienError):
    """An input that cannot be read as a picture. ``source`` names it, ``reason`` says why."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class UnsupportedError(UnreadableError):
    """Content of a kind that mien does not read: a web page, a video where a photo should be."""


class TooLargeError(UnreadableError):
    """A picture with more pixels than it may have."""


class ModelError(MienError):
    """A model file that is missing, damaged, or says too little about itself to be run."""


class DataError(MienError):
    """A training or evaluation data set that is not what was expected, and where."""


class MissingExtraError(MienError, ImportError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part: pip install 'mien[{extra}]'")
        self.extra = extra
