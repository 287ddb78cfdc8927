"""Ray Serve: a proxy for HTTP, replicas for the model."""

import os
import sys
import threading
from typing import Any

import ray
from model import Model
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=int(os.environ["PEER_WORKERS"]),
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=8,
)
class Tags:
    """One clip in, its tags out."""

    def __init__(self) -> None:
        self.model = Model()

    async def __call__(self, request: Request) -> dict[str, Any]:
        answer: dict[str, Any] = self.model.tags(self.model.decode(await request.body()))
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    deployment: Any = Tags
    serve.run(deployment.bind(), route_prefix="/")
    threading.Event().wait()
