"""The proxy's configuration, read by a real nginx."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from service.settings import Settings
from tests.replicas.nginx import fitted

MAIN = """
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/*.conf;
}}
"""


def directives(text: str) -> str:
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def proxy(root: Path) -> str:
    return (root / "docker/nginx/attloc.conf.template").read_text()


def test_nginx_accepts_it(root: Path, tool: Callable[[str], str], tmp_path: Path, proxy: str) -> None:
    (tmp_path / "main").write_text(MAIN.format(folder=tmp_path))
    filled = fitted(proxy, tool("nginx")).replace("${ATTLOC_MAX_BODY_BYTES}", "268435456")
    (tmp_path / "proxy.conf").write_text(filled)
    # Debian's nginx is older than `resolve` too, and Compose's names mean nothing here.
    upstream = (root / "docker/nginx/upstream.conf").read_text().replace(" resolve ", " ")
    (tmp_path / "upstream.conf").write_text(upstream.replace("replica:8000", "127.0.0.1:8000"))
    done = subprocess.run(
        [tool("nginx"), "-t", "-p", tmp_path, "-c", tmp_path / "main"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_only_one_variable_is_filled_in(proxy: str) -> None:
    assert set(re.findall(r"\$\{(\w+)\}", proxy)) == {"ATTLOC_MAX_BODY_BYTES"}


def test_uploads_are_not_buffered_and_posts_not_repeated(proxy: str) -> None:
    text = directives(proxy)
    assert "proxy_request_buffering off;" in text
    retried = re.search(r"proxy_next_upstream ([^;]+);", text)
    assert retried is not None
    assert "non_idempotent" not in retried[1]
    assert "keepalive " not in text, "a kept connection to a replica may be closed under a POST"


@pytest.mark.parametrize("path", ["/localize/stream", "/stream"])
def test_streams_are_not_buffered(proxy: str, path: str) -> None:
    block = re.search(rf"location = {path} \{{(.*?)\}}", directives(proxy), flags=re.DOTALL)
    assert block is not None
    assert "proxy_buffering off;" in block[1]


@pytest.mark.parametrize("path", ["= /tag", r"~ \^/v2/models.+infer\$"])
def test_the_proxy_waits_longer_than_a_recording_may_take(proxy: str, path: str) -> None:
    settings = Settings()
    longest_s = settings.deadline_s + settings.deadline_per_hour_s * settings.max_duration_s / 3600
    block = re.search(rf"location {path} \{{(.*?)\}}", directives(proxy), flags=re.DOTALL)
    assert block is not None
    timeout = re.search(r"proxy_read_timeout (\d+)s;", block[1])
    assert timeout is not None
    assert int(timeout[1]) > longest_s


def test_the_proxy_does_not_wait_that_long_for_anything_else(proxy: str) -> None:
    timeout = re.search(r"proxy_read_timeout (\d+)s;", directives(proxy))
    assert timeout is not None
    assert Settings().deadline_s < int(timeout[1]) < 120
