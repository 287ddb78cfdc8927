"""What every network answers."""

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """Outputs of a network for a batch of chunks, each in [0, 1].

    A NamedTuple because the ONNX exporter traces tuples; its field names become the graph's outputs.

    Attributes:
        tags: (batch, labels), the chunk-level probabilities.
        attention: (batch, frames), Z_att of Eq. 3; ones where a network has no attention.
        localization: (batch, frames, labels), Z_loc of Eq. 6; uniform where a network has none.
        presence: (batch, frames, labels), the frame-level posterior that events are decoded from.
    """

    tags: Tensor
    attention: Tensor
    localization: Tensor
    presence: Tensor
