"""From how many heaps the C library serves the threads."""

import ctypes

_HEAPS = 2
_M_ARENA_MAX = -8  # of glibc's malloc.h


def share_heaps() -> None:
    """Let all threads allocate from two heaps; to be called before there are any.

    glibc gives each thread one of its own, up to eight for each processor, and what a burst of uploads leaves
    behind in one of them serves no other: the process grows with every burst. A C library that is not
    glibc does not know the call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)
