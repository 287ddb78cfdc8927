"""What stops an archive run; a bad recording does not, it is listed."""

from service.engine.errors import AttLocError


class ArchiveError(AttLocError):
    """The inputs or the archive's folder cannot be used, or the engine or the disk gave out."""


class UnreadableError(AttLocError):
    """A recording's bytes cannot be had now; the next run tries again."""
