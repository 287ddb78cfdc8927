"""The graph, as every peer is given it: in its own environment, with nothing of the service.

One session a process with one intra-op thread that does not spin, which is what is fastest here.
"""

import io
import os
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import soundfile
from numpy.typing import NDArray


class Model:
    """A WAV in, tags out."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.environ["PEER_GRAPH"], options, providers=["CPUExecutionProvider"]
        )
        self._session.run(["tags"], {"waveform": np.zeros((1, 64_000), np.float32)})

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """(samples,) float32 of a WAV at the model's rate."""
        samples: NDArray[np.float32] = soundfile.read(io.BytesIO(data), dtype="float32")[0]
        return samples

    def tags(self, samples: NDArray[np.float32]) -> dict[str, Any]:
        """What is answered."""
        (tags,) = self._session.run(["tags"], {"waveform": samples[np.newaxis]})
        return {"tags": tags[0].tolist()}
