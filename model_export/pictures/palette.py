"""One colour a label, the same in every picture."""

from collections.abc import Sequence

# Okabe and Ito's palette, told apart by the colour-blind too; its yellow, too pale for a line on
# white, is darkened. Order of use: neighbours differ in lightness.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C7A00", "#000000")


def label_colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label, by its place; they repeat after eight."""
    return {label: _COLOURS[place % len(_COLOURS)] for place, label in enumerate(labels)}
