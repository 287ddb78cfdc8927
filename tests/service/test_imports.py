"""The two halves stay apart: proved in fresh interpreters."""

import subprocess
import sys

import pytest

LIST_MODULES = "import {module}, sys; print('\\n'.join(sys.modules))"


def modules_after_importing(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES.format(module=module)], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", ["service.app", "service.__main__"])
def test_serving_needs_nothing_of_training(module: str) -> None:
    loaded = modules_after_importing(module)
    assert not loaded & {
        "torch",
        "torchaudio",
        "lightning",
        "scipy",
        "sklearn",
        "onnx",
        "matplotlib",
        "model_export",
    }


def test_training_needs_nothing_of_http() -> None:
    assert not modules_after_importing("model_export") & {"fastapi", "starlette", "uvicorn", "sqlalchemy"}
