"""The one tree of errors; `service.api.problems` maps it to HTTP, nobody else does."""


class AttLocError(Exception):
    """Anything this project refuses; the message names the offending thing and what would be right."""


class BundleError(AttLocError):
    """The model file is missing, is no `attloc` graph, or fails its own self-test."""


class AudioError(AttLocError):
    """The bytes received cannot be analysed."""


class UnsupportedAudioError(AudioError):
    """Not an audio container this service reads."""


class CorruptAudioError(AudioError):
    """An audio container, but truncated or malformed."""


class AudioLimitError(AudioError):
    """More bytes, seconds, channels or hertz than allowed."""


class UnusableAudioError(AudioError):
    """Readable, but nothing a model could hear: no samples, or samples that are not numbers."""


class UnavailableError(AttLocError):
    """Not now: overloaded, draining, not ready, or a part is down.

    Attributes:
        retry_after_s: when a new try is likely to succeed.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(AttLocError):
    """Accepted, but not done in time."""


class AbandonedError(AttLocError):
    """The client went away; nobody waits for the answer."""
