import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from service import app
from service.settings import Settings, SettingsError
from tests.service.api.serving import listening_port

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A place that takes traces: its address, and what has come."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.skipif(find_spec("opentelemetry.exporter") is None, reason="the extra `otel` is not installed")
def test_traces_go_on_where_the_caller_began(tiny_graph: Path, tmp_path: Path) -> None:
    with collector() as (address, taken):
        given = {
            "ATTLOC_MODEL": str(tiny_graph),
            "ATTLOC_DATA_DIR": str(tmp_path),
            "ATTLOC_PORT": "0",
            "ATTLOC_TRACING": "true",
            "ATTLOC_LOG_FORMAT": "json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "service"], env=os.environ | given, stderr=subprocess.PIPE, text=True
        ) as process:
            port = listening_port(process)
            headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            answer = httpx.get(f"http://127.0.0.1:{port}/model", headers=headers, trust_env=False)
            assert answer.status_code == 200
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    spans = b"".join(taken)
    assert bytes.fromhex(TRACE) in spans
    assert b"/model" in spans


def test_without_the_extra_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"\.\[otel\]"):
        app.create_app(Settings(tracing=True))
