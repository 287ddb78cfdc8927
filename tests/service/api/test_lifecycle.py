import asyncio
import errno
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from service.api.keys import digest_of
from service.api.logs import FIELDS
from service.api.problems import MEDIA_TYPE
from service.api.state import Phase, StartError, open_tagger, open_timeline
from service.app import create_app
from service.engine.decoders import Decoders
from service.engine.errors import AttLocError, UnavailableError
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.server.server import Server, configuration
from service.settings import Settings
from service.timeline.store import Timeline
from tests.service.api.gated import Gate, TooLate
from tests.service.api.raw import HANDSHAKE, answer_on, head
from tests.service.api.serving import listening_port, running, settings_for, until, wav

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


def test_a_second_signal_does_not_wait(
    tiny_graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
        answer = waiting.result(10)
    assert answer.status_code == 503
    assert "shutting down" in answer.json()["detail"]
    assert not [record for record in caplog.records if record.exc_info or "Traceback" in record.getMessage()]


def test_what_is_not_done_when_the_grace_is_over_is_503(
    tiny_graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    with (
        running(settings_for(tiny_graph, tmp_path), tagger=gate.tagger) as server,
        server.connect() as uploading,
        ThreadPoolExecutor() as pool,
        server.client() as client,
    ):
        server.server._grace_s = 0.0
        uploading.sendall(head("POST", "/tag", Content_Type="audio/wav", Content_Length=1000) + b"RIFF")
        waiting = pool.submit(client.post, "/tag", content=wav(), headers=AUDIO)
        assert gate.reached.wait(10)
        until(lambda: server.service.admission.taken == 2)
        server.server.handle_exit(signal.SIGTERM, None)
        for answer in (waiting.result(10), answer_on(uploading)):
            assert (answer.headers["content-type"], answer.json()["status"]) == (MEDIA_TYPE, 503)
            assert int(answer.headers["retry-after"]) >= 1
    assert not [record for record in caplog.records if record.exc_info]


def test_until_the_model_is_there_nobody_is_let_in(tiny_graph: Path, tmp_path: Path) -> None:
    """A refused connection sends a proxy to another replica, also with what it may not send twice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refused: list[bool] = []

    def slow(settings: Settings, observer: Observer) -> Tagger:
        tagger = open_tagger(settings, observer)
        with socket.socket() as early:
            refused.append(early.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED)
        return tagger

    with (
        running(settings_for(tiny_graph, tmp_path, port=port), tagger=slow) as server,
        server.client() as client,
    ):
        assert refused == [True]
        assert client.get("/health/ready").json() == {"status": "ready"}
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200


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


def test_a_client_that_leaves_while_it_waits_for_a_decoder_gives_its_place_back(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline is a minute away; the place must be free long before."""
    one: list[Decoders] = []
    waits = threading.Event()

    def with_one_decoder(settings: Settings, observer: Observer) -> Tagger:
        tagger = open_tagger(settings, observer)
        tagger._decoders.close()
        one.append(Decoders(16_000, tagger.limits, size=1, observer=observer))
        tagger._decoders = one[0]
        return tagger

    flac = io.BytesIO()
    soundfile.write(flac, np.zeros(16_000), 16_000, format="FLAC")
    body = flac.getvalue()
    with running(settings_for(tiny_graph, tmp_path), tagger=with_one_decoder) as server:
        admission = server.service.admission
        with one[0].opened(flac):
            take = one[0]._take

            def noticed(*given: Any) -> Any:
                waits.set()
                return take(*given)

            monkeypatch.setattr(one[0], "_take", noticed)
            with server.connect() as connection:
                connection.sendall(
                    head("POST", "/tag", Content_Type="audio/flac", Content_Length=len(body)) + body
                )
                assert waits.wait(10)
                assert admission.taken == 1
            until(lambda: admission.taken == 0)
        with server.client() as client:
            assert (
                client.post("/tag", content=body, headers={"content-type": "audio/flac"}).status_code == 200
            )


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


@contextmanager
def process_of(model: Path, data_dir: Path, **settings: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A service in a process of its own: its port and, once it has left with 0 on SIGTERM, what it logged."""
    logged: list[dict[str, Any]] = []
    with subprocess.Popen(
        [sys.executable, "-m", "service"],
        env=environment(model, data_dir, ATTLOC_LOG_FORMAT="json", **settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield listening_port(process), logged
        assert process.stderr is not None
        process.send_signal(signal.SIGTERM)
        logged += [json.loads(line) for line in process.stderr]
        assert process.wait(20) == 0


def test_the_process_serves_and_leaves_with_0_on_sigterm(tiny_graph: Path, tmp_path: Path) -> None:
    with process_of(tiny_graph, tmp_path) as (port, rest):
        answer = httpx.post(f"http://127.0.0.1:{port}/tag", content=wav(), headers=AUDIO, trust_env=False)
        assert answer.status_code == 200
    requests = [line for line in rest if line["message"] == "request"]
    assert requests[0]["request_id"] == answer.headers["x-request-id"]
    assert requests[0]["route"] == "/tag"
    assert rest[-1]["message"] == "closed"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_neither_audio_nor_key_nor_file_name_is_logged(tiny_graph: Path, tmp_path: Path, level: str) -> None:
    key, keys = "attloc_of_alice", tmp_path / "keys"
    keys.write_text(f"alice:{digest_of(key)}\n")
    settings = {"ATTLOC_API_KEYS_FILE": str(keys), "ATTLOC_LOG_LEVEL": level}
    with process_of(tiny_graph, tmp_path, **settings) as (port, rest):
        for content, status in ((wav(), 200), (b"RIFFheard", 400), (b"heard", 415)):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/tag",
                files={"file": ("private.wav", content, "audio/wav")},
                headers={"authorization": f"Bearer {key}"},
                trust_env=False,
            )
            assert answer.status_code == status
    lines = [str(line) for line in rest]
    assert sum("'key': 'alice'" in line for line in lines) == 3
    assert not [line for line in lines if any(each in line for each in (key, "private", "heard"))]


def test_the_log_tells_where_the_model_runs(
    tiny_graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "service.api.state")
    with running(settings_for(tiny_graph, tmp_path)):
        pass
    (loaded,) = [getattr(each, FIELDS) for each in caplog.records if each.message == "loaded"]
    assert loaded["provider"] == "CPUExecutionProvider"


def test_listening_beyond_loopback_without_keys_is_warned_of(
    tiny_graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{digest_of('attloc_of_alice')}\n")
    create_app(settings_for(tiny_graph, tmp_path, host="127.0.0.1"))
    create_app(settings_for(tiny_graph, tmp_path, host="0.0.0.0", api_keys_file=keys))
    assert "API keys" not in caplog.text
    create_app(settings_for(tiny_graph, tmp_path, host="0.0.0.0"))
    assert "listening on 0.0.0.0 without API keys" in caplog.text


def test_what_clients_do_wrong_is_no_error_of_the_service(tiny_graph: Path, tmp_path: Path) -> None:
    with (
        process_of(tiny_graph, tmp_path) as (port, rest),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        form = head("POST", "/tag", Content_Type="multipart/form-data; boundary=b", Content_Length=4)
        connection.sendall(form + b"RIFF")
        assert answer_on(connection).status == 400
        connection.sendall(head("GET", "/stream", **HANDSHAKE))
        assert answer_on(connection).status == 101
        connection.sendall(b"\x81\x81\0\0\0\0\xff")  # a frame of text that is none
        while connection.recv(65536):
            pass
    assert {line["level"] for line in rest} == {"info"}


def test_the_process_keeps_what_it_has_started_with_out_of_the_collectors_way(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    settings = settings_for(tiny_graph, tmp_path, port=0)
    for alone in (False, True):
        app = create_app(settings)
        server = Server(configuration(app, settings), app.state.service, 1.0, alone=alone)
        server.main_loop = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        server.run()
        assert frozen == [True] * alone


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


def test_an_address_that_is_taken_is_named_with_its_settings(
    tiny_graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = settings_for(tiny_graph, tmp_path, port=port)
        app = create_app(settings)
        with pytest.raises(SystemExit):
            Server(configuration(app, settings), app.state.service, grace_s=0).run()
    assert f"ATTLOC_HOST='127.0.0.1', ATTLOC_PORT={port}" in caplog.text


def test_a_failed_start_is_not_alive_and_never_listens(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "none.onnx", tmp_path)
    app = create_app(settings)
    server = Server(configuration(app, settings), app.state.service, grace_s=1)
    server.run()
    assert not server.started
    assert app.state.service.phase is Phase.FAILED
    assert not app.state.service.live


def test_under_another_server_a_failed_start_fails_its_lifespan(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path / "none.onnx", tmp_path))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")

    with pytest.raises(StartError):
        asyncio.run(start())


def test_a_start_that_fails_for_the_model_closes_the_timeline(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "none.onnx", tmp_path)
    opened: list[Timeline] = []

    def timeline(settings: Settings) -> Timeline:
        opened.append(open_timeline(settings))
        return opened[0]

    app = create_app(settings, timeline=timeline)
    Server(configuration(app, settings), app.state.service, grace_s=1).run()
    with pytest.raises(UnavailableError, match="closed"):
        opened[0].head("kitchen")


def test_a_start_that_fails_for_the_timeline_closes_the_engine(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path)
    opened: list[Tagger] = []

    def tagger(settings: Settings, observer: Observer) -> Tagger:
        opened.append(open_tagger(settings, observer))
        return opened[0]

    def timeline(settings: Settings) -> Timeline:
        raise AttLocError("a newer version has written it")

    app = create_app(settings, tagger=tagger, timeline=timeline)
    Server(configuration(app, settings), app.state.service, grace_s=1).run()
    assert not opened[0].healthy  # its threads are gone


def test_a_signal_while_it_loads_ends_it_before_it_listens(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path)
    servers: list[Server] = []

    def told_to_go(settings: Settings, observer: Observer) -> Tagger:
        servers[0].handle_exit(signal.SIGTERM, None)
        return open_tagger(settings, observer)

    app = create_app(settings, tagger=told_to_go)
    servers.append(Server(configuration(app, settings), app.state.service, grace_s=1))
    servers[0].run()
    assert not servers[0].started
    assert app.state.service.phase is Phase.DRAINING
