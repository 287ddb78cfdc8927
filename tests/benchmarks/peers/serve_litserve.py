"""LitServe: a process for HTTP, worker processes for the model."""

import os
import sys
from typing import Any

import litserve
import numpy as np
from fastapi import Request
from model import Model
from numpy.typing import NDArray


class Tags(litserve.LitAPI):  # type: ignore[misc]
    """One clip in, its tags out."""

    def setup(self, device: str) -> None:
        self.model = Model()

    def decode_request(self, request: Request) -> NDArray[np.float32]:
        form: Any = request
        samples: NDArray[np.float32] = self.model.decode(form["file"].file.read())
        return samples

    def predict(self, samples: NDArray[np.float32]) -> dict[str, Any]:
        answer: dict[str, Any] = self.model.tags(samples)
        return answer

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Tags(), accelerator="cpu", workers_per_device=int(os.environ["PEER_WORKERS"]), timeout=False
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
