import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.api.state import Phase, open_tagger
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings
from service.timeline.store import Timeline
from tests.service.api.gated import Gate, TooLate
from tests.service.api.raw import answer_on, head
from tests.service.api.serving import listening_port, running, settings_for, wav

AUDIO = {"content-type": "audio/wav"}


def test_draining_refuses_new_work_and_finishes_what_was_accepted(tiny_graph: Path, tmp_path: Path) -> None:
    gate = Gate()
    settings = settings_for(tiny_graph, tmp_path)
    with (
        running(settings, tagger=gate.tagger) as server,
        server.client() as client,
        ThreadPoolExecutor() as pool,
    ):
        drained = threading.Event()
        drain = server.service.drain
        server.service.drain = lambda: (drain(), drained.set())[0]  # type: ignore[method-assign,func-returns-value]
        accepted = pool.submit(client.post, "/tag", params={"source": "last"}, content=wav(), headers=AUDIO)
        assert gate.reached.wait(10)
        server.server.handle_exit(signal.SIGTERM, None)
        assert drained.wait(10)
        refused = client.post("/tag", content=wav(), headers=AUDIO)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/health/ready").json() == {"status": "draining"}
        assert client.get("/health/live").status_code == 200
        assert client.get("/localize", params={"source": "last"}).status_code == 200
        gate.open()
        answer = accepted.result(10)
    assert answer.status_code == 200
    timeline = Timeline.open(settings.timeline_url)
    stored = timeline.recording(answer.json()["id"])
    timeline.close()
    assert stored is not None


def test_a_second_signal_does_not_wait(tiny_graph: Path, tmp_path: Path) -> None:
    gate = Gate()
    with (
        running(settings_for(tiny_graph, tmp_path), tagger=gate.tagger) as server,
        ThreadPoolExecutor() as pool,
        server.client() as client,
    ):
        waiting = pool.submit(client.post, "/tag", content=wav(), headers=AUDIO)
        assert gate.reached.wait(10)
        server.server.handle_exit(signal.SIGTERM, None)
        server.server.handle_exit(signal.SIGTERM, None)
        assert gate.abandoned.wait(10)
        with pytest.raises(httpx.HTTPError):
            waiting.result(10).raise_for_status()


def test_until_the_model_is_there_recordings_are_refused(tiny_graph: Path, tmp_path: Path) -> None:
    loading = threading.Event()

    def slow(settings: Settings, observer: Observer) -> Tagger:
        assert loading.wait(10)
        return open_tagger(settings, observer)

    with running(settings_for(tiny_graph, tmp_path), tagger=slow, loaded=False) as server:
        with server.client() as client:
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").json() == {"status": "starting"}
            answer = client.post("/tag", content=wav(), headers=AUDIO)
            assert answer.status_code == 503
            assert "starting" in answer.json()["detail"]
            assert client.get("/model").status_code == 503
        loading.set()


def test_a_client_that_leaves_stops_its_analysis(tiny_graph: Path, tmp_path: Path) -> None:
    gate = Gate()
    with running(settings_for(tiny_graph, tmp_path), tagger=gate.tagger) as server:
        with server.connect() as connection:
            body = wav()
            connection.sendall(
                head("POST", "/tag", Content_Type="audio/wav", Content_Length=len(body)) + body
            )
            assert gate.reached.wait(10)
        assert gate.abandoned.wait(10)


def test_more_recordings_than_places_are_refused_before_they_are_read(
    tiny_graph: Path, tmp_path: Path
) -> None:
    gate = Gate()
    settings = settings_for(tiny_graph, tmp_path, max_uploads=1)
    with (
        running(settings, tagger=gate.tagger) as server,
        server.client() as client,
        ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(client.post, "/tag", content=wav(), headers=AUDIO)
        assert gate.reached.wait(10)
        second = client.post("/tag", content=wav(), headers=AUDIO)
        assert second.status_code == 503
        assert second.json()["type"] == "urn:attloc:problem:unavailable"
        assert int(second.headers["retry-after"]) >= second.json()["retry_after"] > 0
        assert client.get("/health/ready").status_code == 200
        gate.open()
        assert first.result(10).status_code == 200
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200


def test_what_is_not_done_in_time_is_504(tiny_graph: Path, tmp_path: Path) -> None:
    with (
        running(settings_for(tiny_graph, tmp_path), tagger=TooLate().tagger) as server,
        server.client() as client,
    ):
        answer = client.post("/tag", content=wav(), headers=AUDIO)
        assert answer.status_code == 504
        assert answer.json()["type"] == "urn:attloc:problem:deadline"


def test_without_its_database_it_still_analyses(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path, database_url="postgresql://127.0.0.1:1/none")
    with running(settings) as server, server.client() as client:
        assert client.get("/health/ready").status_code == 200
        assert client.post("/tag", params={"store": "false"}, content=wav(), headers=AUDIO).status_code == 200
        stored = client.post("/tag", content=wav(), headers=AUDIO)
        assert stored.status_code == 503
        assert "database" in stored.json()["detail"]
        assert "127.0.0.1" not in stored.text
        # Found out once, told at once, before the body is read.
        with server.connect() as connection:
            connection.sendall(head("POST", "/tag", Content_Type="audio/wav", Content_Length=100_000))
            told = answer_on(connection)
        assert told.status == 503
        assert "database" in told.json()["detail"]
        assert client.post("/tag", params={"store": "false"}, content=wav(), headers=AUDIO).status_code == 200


def environment(model: Path, data_dir: Path, **settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATTLOC_")}
    given = {"ATTLOC_MODEL": str(model), "ATTLOC_DATA_DIR": str(data_dir), "ATTLOC_PORT": "0", **settings}
    return clean | given


def test_the_process_serves_and_leaves_with_0_on_sigterm(tiny_graph: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "service"],
        env=environment(tiny_graph, tmp_path, ATTLOC_LOG_FORMAT="json"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        port = listening_port(process)
        assert process.stderr is not None
        answer = httpx.post(f"http://127.0.0.1:{port}/tag", content=wav(), headers=AUDIO, trust_env=False)
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in process.stderr]
        assert process.wait(20) == 0
    requests = [line for line in rest if line["message"] == "request"]
    assert requests[0]["request_id"] == answer.headers["x-request-id"]
    assert requests[0]["route"] == "/tag"
    assert rest[-1]["message"] == "closed"


def test_a_missing_model_ends_the_process_and_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        env=environment(tmp_path / "none.onnx", tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "none.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_start_is_not_alive(tmp_path: Path) -> None:
    with running(settings_for(tmp_path / "none.onnx", tmp_path)) as server:
        assert server.service.phase is Phase.FAILED
        assert not server.service.live
