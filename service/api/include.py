"""What an answer is to hold beside tags and events."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from service.engine.analysis import Curves

PARTS = ("curves", "spectrogram")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of an answer that can be left out.

    Attributes:
        curves: attention, localization and presence.
        spectrogram: a log spectrogram for display.
    """

    curves: bool = False
    spectrogram: bool = False

    @classmethod
    def parse(cls, value: Any) -> "Parts":
        """Read `curves`, `spectrogram`, both with a comma between, or `none`; ValueError otherwise."""
        if isinstance(value, cls):
            return value
        names = [name.strip() for name in str(value).split(",")]
        if names == ["none"]:
            return cls()
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            raise ValueError(f"{unknown[0][:32]!r} is none of {', '.join(PARTS)}; `none` stands alone")
        return cls(**dict.fromkeys(names, True))

    def shown(self, curves: Curves, resolution_s: float | None) -> Curves | None:
        """The curves as the answer is to hold them, if it is."""
        if not self.curves:
            return None
        return curves if resolution_s is None else curves.coarsened(resolution_s)


Include = Annotated[
    Parts,
    BeforeValidator(Parts.parse),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(none|(curves|spectrogram)(,(curves|spectrogram))*)$",
            "default": "curves",
            "examples": ["curves", "curves,spectrogram", "none"],
        }
    ),
]
Resolution = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, examples=[0.1])]
