"""Runs of the graph on a GPU, captured for a few batch sizes and replayed.

The recurrent layers go frame by frame: a run launches thousands of small kernels, and the GPU waits for their
launches. A CUDA graph captures a run and launches all of it at once: a window alone takes 4 ms, not 18.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.engine.bundle import INPUT, OUTPUTS, Bundle, Outputs

# ONNX Runtime takes what memory a run needs in the first, and captures one when that no longer changes.
_RUNS_TO_CAPTURE = 4

_log = logging.getLogger(__name__)


class CapturedRun:
    """A run of so many windows. It is captured for the thread that makes it, and belongs to that.

    Nothing else may use the GPU while it is made.
    """

    def __init__(self, bundle: Bundle, batch: int) -> None:
        """Capture.

        Args:
            bundle: whose graph is run.
            batch: windows in a run.
        """
        waveforms = np.zeros((batch, bundle.card.grid.window_samples), np.float32)
        like = bundle.run(waveforms)
        values, self._session, device = bundle.open_capturing(waveforms.shape)
        self._input = values.ortvalue_from_numpy(waveforms, device, 0)
        self._outputs = [
            values.ortvalue_from_shape_and_type(getattr(like, name).shape, np.float32, device, 0)
            for name in OUTPUTS
        ]
        self._binding = self._session.io_binding()  # a captured run reads and writes where it always did
        self._binding.bind_ortvalue_input(INPUT, self._input)
        for name, value in zip(OUTPUTS, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)
        for _ in range(_RUNS_TO_CAPTURE):
            self.run(waveforms)

    def run(self, waveforms: NDArray[np.float32]) -> Outputs:
        """(batch, samples of a window) float32, as `Bundle.run`."""
        self._input.update_inplace(waveforms)
        self._session.run_with_iobinding(self._binding)
        return Outputs(*(value.numpy() for value in self._outputs))


class CapturedRuns:
    """`Bundle.run` for one thread: by a captured run where windows come in one of the sizes given."""

    def __init__(self, bundle: Bundle, sizes: Sequence[int]) -> None:
        self._bundle = bundle
        self._captured: dict[tuple[int, ...], CapturedRun] = {}
        try:
            for batch in sizes:
                shape = batch, bundle.card.grid.window_samples
                self._captured[shape] = CapturedRun(bundle, batch)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no other base
            # The answers are the same, only later. If the GPU itself is gone, the next run says so.
            _log.warning("runs are not captured on this GPU, so each takes some 20 ms: %s", error)

    def run(self, waveforms: NDArray[np.float32]) -> Outputs:
        """As `Bundle.run`."""
        captured = self._captured.get(waveforms.shape)
        return self._bundle.run(waveforms) if captured is None else captured.run(waveforms)
