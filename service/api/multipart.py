"""A form of exactly one part, `file`, taken apart while it arrives."""

from collections.abc import Iterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.api.errors import Complaint, InvalidRequestError, MalformedBodyError

PART = "file"
MAX_PART_HEADERS = 8


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart Content-Type."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise MalformedBodyError("multipart/form-data needs a boundary of 1 to 70 characters")
    return boundary


class FilePart:
    """Gives the bytes of part `file` as they come; any other part is refused on sight."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
        )
        self._header, self._value, self._disposition = b"", b"", b""
        self._audio: list[bytes] = []
        self._parts = 0
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take a piece of the body; gives the pieces of the file in it.

        Raises:
            MalformedBodyError: not multipart.
            InvalidRequestError: a part of another name, or a second one.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedBodyError(f"the form is not well-formed: {error}") from error
        audio, self._audio = self._audio, []
        yield from audio

    def finish(self) -> None:
        """The body has ended.

        Raises:
            MalformedBodyError: before the form did.
            InvalidRequestError: without a file.
        """
        if not self._ended:
            raise MalformedBodyError("the form ends before its closing boundary")
        if not self._parts:
            raise InvalidRequestError(
                Complaint("body", PART, "a part of this name is required, the form is empty")
            )

    def _on_part_begin(self) -> None:
        self._parts += 1
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != PART:
            raise InvalidRequestError(
                Complaint(
                    "body",
                    name[:64] or "(nameless part)",
                    f"unknown part; a form of one part `{PART}` is taken",
                )
            )
        if self._parts > 1:
            raise InvalidRequestError(
                Complaint("body", PART, "given more than once; send one recording a request")
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._audio.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True
