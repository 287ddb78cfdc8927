"""Whether an Ogg file is whole, and what it holds: the frame of the container, nothing of the codecs.

libsndfile takes a truncated Ogg for a shorter one, and of streams chained one after another it reads the
first, so half a recording would be answered as if it were all of it. The format says where a stream begins
and ends: its first and last pages are marked (RFC 3533, section 6).
"""

import os

from service.engine.errors import CorruptAudioError, UnsupportedAudioError

MAGIC = b"OggS"
_HEADER = 27
_FIRST_PAGE, _LAST_PAGE = 0x02, 0x04
_CODECS = (b"\x01vorbis", b"OpusHead")


def check_ogg(descriptor: int) -> None:
    """Walk the pages of a file.

    Raises:
        CorruptAudioError: cut within a page, something between the pages, a page of a stream that never
            began, or no last page.
        UnsupportedAudioError: neither Vorbis nor Opus, or chained.
    """
    size = os.fstat(descriptor).st_size
    at, flags = 0, 0
    streams: set[bytes] = set()  # serial numbers
    beginning = True  # streams side by side all begin before any goes on
    while at < size:
        page = os.pread(descriptor, _HEADER + 255 + 8, at)
        if page[:4] != MAGIC[: len(page)]:
            raise CorruptAudioError(f"the Ogg is corrupt: no page begins at byte {at}")
        table = page[_HEADER : _HEADER + page[26]] if len(page) > _HEADER - 1 else b""
        if len(page) < _HEADER or len(table) < page[26]:
            raise CorruptAudioError(f"the Ogg is truncated: it ends at byte {size} within a page's header")
        body = at + _HEADER + len(table)
        if body + sum(table) > size:
            raise CorruptAudioError(
                f"the Ogg is truncated: its page at byte {at} ends at {body + sum(table)}, the file at {size}"
            )
        if at == 0:
            packet = os.pread(descriptor, 8, body)
            if not packet.startswith(_CODECS):
                raise UnsupportedAudioError(f"an Ogg of {packet!r}: only Vorbis and Opus are accepted")
        flags, serial = page[5], page[14:18]
        if flags & _FIRST_PAGE:
            if not beginning:
                raise UnsupportedAudioError(
                    f"a chained Ogg: another stream begins at byte {at}; "
                    "send each part as a recording of its own"
                )
            streams.add(serial)
        else:
            beginning = False
            if serial not in streams:
                raise CorruptAudioError(
                    f"the Ogg is corrupt: the page at byte {at} is of no stream that began"
                )
        at = body + sum(table)
    if not flags & _LAST_PAGE:
        raise CorruptAudioError(f"the Ogg is truncated: it ends at byte {size} without its last page")
