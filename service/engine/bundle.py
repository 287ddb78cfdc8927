"""The .onnx file: session, metadata, checks, self-test."""

import hashlib
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.engine.card import METADATA_KEY, ModelCard
from service.engine.errors import BundleError
from service.engine.runtime import installed_wheels, load_runtime

Device = Literal["auto", "cpu", "cuda"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# An exhaustive search costs 0.6 s for every new shape. TF32 keeps ten bits of a product's factors, and curves
# came out a thousandth off the CPU's.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}

INPUT = "waveform"
_AXES = ("batch", "samples")
OUTPUTS = {"tags": 2, "attention": 2, "localization": 3, "presence": 3}  # name: rank


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the graph answers for a batch of equally long waveforms, each in [0, 1].

    A graph that was calibrated answers probabilities, which it makes of O'' and O'.

    Attributes:
        tags: (batch, labels) float32, O'' of Eq. 8.
        attention: (batch, frames) float32, Z_att of Eq. 3.
        localization: (batch, frames, labels) float32, Z_loc of Eq. 6.
        presence: (batch, frames, labels) float32, O' of Eq. 7.
    """

    tags: NDArray[np.float32]
    attention: NDArray[np.float32]
    localization: NDArray[np.float32]
    presence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tags)

    def row(self, index: int) -> "Outputs":
        """The answer to one waveform, the batch axis kept at length 1."""
        rows = slice(index, index + 1)
        return Outputs(self.tags[rows], self.attention[rows], self.localization[rows], self.presence[rows])


class Bundle:
    """A loaded graph. `run` may be called from several threads at once.

    Attributes:
        card: the model card inside the graph.
        path: the file it came from.
        sha256: of the file, hexadecimal.
        provider: the execution provider really in use.
    """

    def __init__(self, session: Any, card: ModelCard, path: Path, content: bytes) -> None:
        self._session = session
        self.card = card
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.provider: str = session.get_providers()[0]
        self._content = content if self.on_cuda else b""  # of which others are opened

    @classmethod
    def load(cls, path: Path, *, device: Device = "auto") -> "Bundle":
        """Open the file, check that it is an `attloc` graph, and put it on the device.

        Args:
            path: the .onnx file.
            device: `auto` takes a GPU where there is a working one; `cuda` refuses to go without.

        Raises:
            BundleError: no such file, no graph, another signature, a bad model card, or no such device.
        """
        runtime = load_runtime()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BundleError(f"cannot read the model {path}: {error.strerror}") from error
        session = _open(runtime, content, path, device)
        _check_signature(session, path)
        document = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if document is None:
            raise BundleError(f"{path} carries no {METADATA_KEY!r} metadata: not a graph for this service")
        bundle = cls(session, ModelCard.from_json(document), path, content)
        if device == "cuda" and bundle.provider != CUDA:
            raise BundleError(
                f"asked for cuda, but ONNX Runtime fell back to {session.get_providers()}: "
                "check the driver (`nvidia-smi`) and the CUDA and cuDNN libraries"
            )
        return bundle

    @property
    def version(self) -> str:
        """The first twelve digits of `sha256`."""
        return self.sha256[:12]

    @property
    def on_cuda(self) -> bool:
        """Whether the graph runs on a GPU."""
        return self.provider == CUDA

    def run(self, waveforms: NDArray[np.float32]) -> Outputs:
        """Run the graph.

        Args:
            waveforms: (batch, samples) float32 at the model's rate, full scale 1, at least one frame.
        """
        return Outputs(*self._session.run(list(OUTPUTS), {INPUT: waveforms}))

    def open_capturing(self, shape: tuple[int, ...]) -> tuple[Any, Any, str]:
        """A session on the GPU that captures a run as a CUDA graph and replays it from then on.

        Args:
            shape: (batch, samples) of all its runs.

        Returns:
            What makes values for it, the session, and the device where they have to lie.
        """
        runtime = load_runtime()
        options = _options(runtime)
        for axis, size in zip(_AXES, shape, strict=True):
            options.add_free_dimension_override_by_name(axis, size)
        providers = [(CUDA, _CUDA_OPTIONS | {"enable_cuda_graph": "1"})]
        session = runtime.InferenceSession(self._content, options, providers=providers)
        return runtime.OrtValue, session, "cuda"

    def self_test(self) -> None:
        """Run the vector stored in the graph and check the answer and its shapes.

        Raises:
            BundleError: another answer than stored: the file, the runtime or the hardware is broken.
        """
        card = self.card
        samples = card.self_test.samples
        out = self.run(samples[np.newaxis])
        frames, labels = card.frames(len(samples)), len(card.labels)
        shapes = {name: getattr(out, name).shape for name in OUTPUTS}
        wanted = {
            "tags": (1, labels),
            "attention": (1, frames),
            "localization": (1, frames, labels),
            "presence": (1, frames, labels),
        }
        if shapes != wanted:
            raise BundleError(f"{self.path}: {len(samples)} samples gave shapes {shapes}, not {wanted}")
        error = float(np.abs(out.tags[0] - np.array(card.self_test.tags)).max())
        if not error <= card.self_test.tolerance:  # also when the answer is not a number
            raise BundleError(
                f"{self.path} fails its self-test: tags differ by {error:.2g} on {self.provider}, "
                f"allowed are {card.self_test.tolerance:.2g}"
            )

    def largest_equal_batch(self, most: int, samples: int) -> int:
        """How many waveforms, `most` at most, may share a run without a bit of an answer changing.

        A reduction over the frame axis may take another path through the kernel for one row than for
        several, so this is measured on noise, not assumed.
        """
        noise = np.random.default_rng(0).normal(0, 0.1, (most, samples)).astype(np.float32)
        alone = [self.run(row[None]) for row in noise]

        def keeps_bits(batch: int) -> bool:
            together = self.run(noise[:batch])
            return all(
                np.array_equal(getattr(together.row(row), name), getattr(alone[row], name))
                for row in range(batch)
                for name in OUTPUTS
            )

        larger = takewhile(keeps_bits, range(2, most + 1))
        return max(larger, default=1)


def _open(runtime: Any, content: bytes, path: Path, device: Device) -> Any:
    options, providers = _options(runtime), _providers(runtime, device)
    try:
        return runtime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no other base
        raise BundleError(f"{path} is not a graph that ONNX Runtime can run: {error}") from error


def _options(runtime: Any) -> Any:
    options = runtime.SessionOptions()
    # Parallelism is one window a thread; a second thread inside a window costs more than it brings.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _providers(runtime: Any, device: Device) -> list[Any]:
    available = runtime.get_available_providers()
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return [CPU]
    if CUDA not in available:
        raise BundleError(
            f"asked for cuda, but {' '.join(installed_wheels())} has only {available}: "
            "install the `gpu` extra instead of `cpu`"
        )
    # CUDA and cuDNN come as wheels of their own, outside the loader's path.
    runtime.preload_dlls()
    return [(CUDA, _CUDA_OPTIONS), CPU]


def _check_signature(session: Any, path: Path) -> None:
    inputs = {node.name: (node.type, len(node.shape)) for node in session.get_inputs()}
    outputs = {node.name: (node.type, len(node.shape)) for node in session.get_outputs()}
    wanted = {name: ("tensor(float)", rank) for name, rank in OUTPUTS.items()}
    if inputs != {INPUT: ("tensor(float)", 2)}:
        raise BundleError(f"{path} takes {inputs}, not {INPUT!r} of two float32 axes (batch, samples)")
    missing = {name: signature for name, signature in wanted.items() if outputs.get(name) != signature}
    if missing:
        raise BundleError(f"{path} gives {outputs}, not {missing}")
