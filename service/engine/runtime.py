"""The only module that imports ONNX Runtime, so that what must precede the import cannot be forgotten."""

import os
from importlib import metadata
from types import ModuleType

from service.engine.errors import BundleError

# Linux wheels from 1.29 on send usage data unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

WHEELS = ("onnxruntime", "onnxruntime-gpu")


def installed_wheels() -> tuple[str, ...]:
    """The ONNX Runtime distributions installed here, as `name version`."""
    found = []
    for wheel in WHEELS:
        try:
            found.append(f"{wheel} {metadata.version(wheel)}")
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def load_runtime() -> ModuleType:
    """The `onnxruntime` module.

    Raises:
        BundleError: both wheels are installed. They unpack into the same folder, and which one is then
            imported is chance: a GPU would silently go unused.
    """
    found = installed_wheels()
    if len(found) > 1:
        raise BundleError(f"{' and '.join(found)} are both installed: uninstall both, then install one")
    module: ModuleType = onnxruntime
    return module
