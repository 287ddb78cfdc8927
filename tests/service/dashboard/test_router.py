import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.dashboard.assets import STATIC, Assets
from service.dashboard.router import create_router

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Ask the router for a raw path, as it would come over the wire."""
    app = FastAPI()
    app.include_router(create_router())

    async def send(path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            request = client.build_request("GET", "/", headers=headers)
            request.url = request.url.copy_with(raw_path=path.encode())
            return await client.send(request)

    def ask(path: str, **headers: str) -> httpx.Response:
        return asyncio.run(send(path, {name.replace("_", "-"): value for name, value in headers.items()}))

    return ask


def test_page_is_served_with_a_policy_that_allows_no_inline_code(ask: Ask) -> None:
    answer = ask("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_page_holds_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert "style=" not in page
    assert "<style" not in page
    for line in page.splitlines():
        if "<script" in line:
            assert 'src="' in line
            assert "></script>" in line


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.js")), ids=lambda path: path.name)
def test_no_module_writes_markup(path: Path) -> None:
    source = path.read_text("utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in source


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.*")), ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    source = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in source
    assert "https://" not in source


@pytest.mark.parametrize(
    ("name", "kind"),
    [("main.js", "text/javascript"), ("style/base.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
def test_files_have_their_types(ask: Ask, name: str, kind: str) -> None:
    answer = ask(f"/dashboard/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.content == (STATIC / name).read_bytes()


def test_plotly_comes_from_its_package(ask: Ask) -> None:
    answer = ask("/dashboard/plotly.min.js")
    assert answer.status_code == 200
    assert b"plotly.js v" in answer.content[:200]


def test_serving_imports_nothing_of_plotly() -> None:
    code = "import sys, service.dashboard.router as r; r.create_router(); sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_compressed_where_that_is_understood(ask: Ask) -> None:
    plain = ask("/dashboard/main.js", accept_encoding="identity")
    packed = ask("/dashboard/main.js", accept_encoding="br, gzip;q=0.8")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # httpx has unpacked it
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


@pytest.mark.parametrize("accepted", ["gzip;q=0", "gzip;q=0, *", "identity, gzip;q=0.5", "br", ""])
def test_what_is_not_wanted_compressed_is_not(ask: Ask, accepted: str) -> None:
    assert "content-encoding" not in ask("/dashboard/main.js", accept_encoding=accepted).headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_unchanged_file_is_not_sent_again(ask: Ask, encoding: str) -> None:
    first = ask("/dashboard/main.js", accept_encoding=encoding)
    again = ask("/dashboard/main.js", accept_encoding=encoding, if_none_match=first.headers["etag"])
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert ask("/dashboard/main.js", accept_encoding=encoding, if_none_match="*").status_code == 304
    other = ask("/dashboard/main.js", accept_encoding=encoding, if_none_match='"other"')
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "../router.py", "%2e%2e/router.py", "..%2frouter.py", "style", "", "/etc/passwd"]
)
def test_nothing_else_is_served(ask: Ask, name: str) -> None:
    assert ask(f"/dashboard/{name}").status_code == 404


def test_assets_know_every_file_of_the_page() -> None:
    assets = Assets()
    page = (STATIC / "index.html").read_text("utf-8")
    named = [part.split('"')[0] for part in page.split('"dashboard/')[1:]]
    assert len(named) > 5
    assert all(name in assets for name in named)
