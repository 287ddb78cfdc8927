"""mosec: a front in Rust, worker processes for the model."""

import os
from typing import Any

from model import Model
from mosec import Server, Worker


class Tags(Worker):  # type: ignore[misc]
    """One clip in, its tags out."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = self.model.tags(self.model.decode(data))
        return answer


if __name__ == "__main__":
    server = Server()
    server.append_worker(Tags, num=int(os.environ["PEER_WORKERS"]))
    server.run()
