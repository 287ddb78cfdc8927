"""`docker/verify-gpu` where there is no GPU: its way to every end, with CPU sessions in the GPU's place."""

import json
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from service.engine.bundle import Bundle, Device, Outputs


@pytest.fixture
def verify(root: Path) -> ModuleType:
    loader = SourceFileLoader("verify_gpu", str(root / "docker/verify-gpu"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch, tiny_graph: Path, tmp_path: Path) -> Path:
    """A short run; where its numbers go."""
    out = tmp_path / "numbers.json"
    options = ["--model", tiny_graph, "--seconds", 0.01, "--batches", 1, 4, "--json", out]
    monkeypatch.setattr(sys, "argv", ["verify-gpu", *map(str, options)])
    return out


def on_cpu(path: Path, *, device: Device = "auto") -> Bundle:
    return LOAD(path, device="cpu")


LOAD = Bundle.load


def test_without_a_gpu_it_fails_and_says_why(
    verify: ModuleType, arguments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main() == 1
    assert "FAILED: asked for cuda" in capsys.readouterr().err
    assert not arguments.exists()


def test_it_compares_and_measures(
    verify: ModuleType, arguments: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Bundle, "load", on_cpu)
    assert verify.main() == 0
    told = capsys.readouterr().out
    assert "largest difference to the CPU 0.00e+00 (allowed 0.0001)" in told
    assert "| batch | chunks/s, as they come | chunks/s, captured | chunks/s, captured, two threads |" in told
    numbers = json.loads(arguments.read_text())
    assert numbers["difference"] == 0
    assert set(numbers["chunks_per_s"]) == {"1", "4"}
    assert all(rate > 0 for rates in numbers["chunks_per_s"].values() for rate in rates)


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_other_answers_than_the_cpus_are_a_failure(
    verify: ModuleType, arguments: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """The first bundle loaded is the GPU's: its presence is off from the second run on."""
    loaded: list[Bundle] = []

    def load(path: Path, *, device: Device = "auto") -> Bundle:
        loaded.append(on_cpu(path))
        return loaded[-1]

    run = Bundle.run

    def off(self: Bundle, waveforms: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Outputs:
        out = run(self, waveforms)
        return Outputs(out.tags, out.attention, out.localization, out.presence + wrong * (self is loaded[0]))

    monkeypatch.setattr(Bundle, "load", load)
    monkeypatch.setattr(Bundle, "run", off)
    assert verify.main() == 1
