"""What a live input says of itself before it sounds."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.instants import Instant
from service.api.queries import QueryModel
from service.api.schemas import Source


class LiveQuery(QueryModel):
    """The handshake: whose sound comes, and in which form."""

    source: Source = "default"
    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)] = 16_000
    format: Literal["s16le", "f32le"] = "s16le"
    channels: Annotated[int, Field(ge=1, le=8)] = 1
    hop: Annotated[float, Field(ge=0.25, le=2.0)] = 1.0
    include: Literal["curves", "none"] = "curves"
    recorded_at: Instant | None = None
    store: bool = True

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * (2 if self.format == "s16le" else 4)
