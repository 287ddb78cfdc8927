"""The search for what should not be in an image: it has to find each thing."""

import os
import py_compile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

USER = 54_321  # nobody's here


@pytest.fixture(scope="module")
def scan(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("checks/scan.py")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    for folder in ("app/service", "opt/attloc/lib/python3.11/site-packages/numpy", "usr/bin", "data", "root"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/python3").write_text("x" * 1000)
    (tmp_path / "usr/bin/python3").chmod(0o755)
    return tmp_path


def test_the_training_image_holds_the_training_half(scan: ModuleType, image: Path) -> None:
    packages = image / "opt/attloc/lib/python3.11/site-packages"
    for folder in (packages / "torch", image / "app/model_export"):
        folder.mkdir()
    assert len(scan.findings(image, USER)) == 2
    assert scan.findings(image, USER, serving=False) == []
    (packages / "pip").mkdir()
    (found,) = scan.findings(image, USER, serving=False)
    assert "pip" in found


def test_a_clean_image(scan: ModuleType, image: Path) -> None:
    assert scan.findings(image, USER) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("opt/attloc/lib/python3.11/site-packages/torch/x.py", "torch"),
        ("opt/attloc/lib/python3.11/site-packages/pip/x.py", "pip"),
        ("usr/bin/x86_64-linux-gnu-gcc-12", "compiler"),
        ("usr/bin/g++", "compiler"),
        ("usr/bin/make", "compiler"),
        ("root/.cache/pip/http/a", "left over"),
        ("app/model_export/x.py", "does not belong"),
    ],
)
def test_finds_files(scan: ModuleType, image: Path, path: str, said: str) -> None:
    file = image / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    file.chmod(0o644)
    (found,) = scan.findings(image, USER)
    assert said in found


@pytest.mark.parametrize(("mode", "said"), [(0o4755, "setuid"), (0o2755, "setgid"), (0o666, "anyone")])
def test_finds_modes(scan: ModuleType, image: Path, mode: int, said: str) -> None:
    (image / "usr/bin/python3").chmod(mode)
    (found,) = scan.findings(image, USER)
    assert said in found


def test_finds_what_the_service_could_change(scan: ModuleType, image: Path) -> None:
    owner = (image / "app").stat().st_uid
    found = scan.findings(image, owner)
    assert "/app/service belongs to the service's user" in found
    assert not [each for each in found if each.startswith("/data ")]


def test_counts_a_hard_link_once(scan: ModuleType, image: Path) -> None:
    before = scan.size_bytes(image)
    (image / "usr/bin/python").hardlink_to(image / "usr/bin/python3")
    assert scan.size_bytes(image) - before < 1000


@pytest.mark.parametrize(("mode", "found"), [("TIMESTAMP", 1), ("CHECKED_HASH", 0)])
def test_finds_byte_code_that_every_start_would_compile(
    scan: ModuleType, image: Path, mode: str, found: int
) -> None:
    source = image / "app/service/app.py"
    source.write_text("x = 1\n")
    source.chmod(0o644)
    compiled = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode[mode])
    assert compiled is not None
    Path(compiled).chmod(0o644)
    assert scan.findings(image, USER) == []
    os.utime(source, (1, 1))  # as a layer that rounds it
    assert len(scan.findings(image, USER)) == found
