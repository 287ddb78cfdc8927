"""What is taken for a model, and what is refused with the reason."""

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engine import bundle as module
from service.engine.bundle import CPU, CUDA, Bundle
from service.engine.errors import BundleError
from service.engine.policy import policy_for
from service.engine.runtime import load_runtime

Build = Callable[..., Path]


def edited(source: Path, target: Path, edit: Callable[[Any], None]) -> Path:
    import onnx

    model = onnx.load(source)
    edit(model)
    onnx.save(model, target)
    return target


def test_a_bundle_knows_its_file_and_where_it_runs(framewise_graph: Path) -> None:
    import hashlib

    bundle = Bundle.load(framewise_graph, device="auto")
    assert bundle.sha256 == hashlib.sha256(framewise_graph.read_bytes()).hexdigest()
    assert bundle.version == bundle.sha256[:12]
    assert bundle.card.name == "framewise"
    assert (bundle.provider, bundle.on_cuda) == (CPU, False)
    bundle.self_test()


def test_outputs_have_the_shapes_of_the_contract(framewise: Bundle) -> None:
    out = framewise.run(np.zeros((2, 1024), np.float32))
    assert [o.shape for o in (out.tags, out.attention, out.localization, out.presence)] == [
        (2, 3),
        (2, 3),
        (2, 3, 3),
        (2, 3, 3),
    ]
    assert len(out) == 2
    np.testing.assert_array_equal(out.row(1).presence, out.presence[1:])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read the model .*none\.onnx: No such file"):
        Bundle.load(tmp_path / "none.onnx")


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a graph")
    with pytest.raises(BundleError, match=r"text\.onnx is not a graph that ONNX Runtime can run"):
        Bundle.load(path)


def test_a_graph_without_a_card_is_not_for_this_service(framewise_graph: Path, tmp_path: Path) -> None:
    path = edited(framewise_graph, tmp_path / "x.onnx", lambda model: model.ClearField("metadata_props"))
    with pytest.raises(BundleError, match="carries no 'attloc' metadata"):
        Bundle.load(path)


def test_other_inputs_and_outputs_are_refused(framewise_graph: Path, tmp_path: Path) -> None:
    def rename_input(model: Any) -> None:
        model.graph.input[0].name = model.graph.node[0].input[0] = "mel"

    with pytest.raises(BundleError, match=r"takes \{'mel'.*not 'waveform'"):
        Bundle.load(edited(framewise_graph, tmp_path / "in.onnx", rename_input))
    with pytest.raises(BundleError, match=r"gives .* not \{'presence'"):
        Bundle.load(edited(framewise_graph, tmp_path / "out.onnx", lambda model: model.graph.output.pop()))


def test_a_graph_that_answers_otherwise_than_it_promised_fails_its_self_test(
    framewise_network: Build, tmp_path: Path
) -> None:
    bundle = Bundle.load(framewise_network(tmp_path / "x.onnx", [0.1, 0.2, 0.3]), device="cpu")
    with pytest.raises(
        BundleError, match=r"fails its self-test: tags differ by 0\.\d+ on CPUExecutionProvider"
    ):
        bundle.self_test()


def test_a_graph_that_frames_otherwise_than_its_card_fails_its_self_test(
    framewise_network: Build, tmp_path: Path
) -> None:
    bundle = Bundle.load(framewise_network(tmp_path / "x.onnx", [0.0] * 3, hop=128), device="cpu")
    with pytest.raises(BundleError, match=r"2048 samples gave shapes .*\(1, 7\).* not .*\(1, 13\)"):
        bundle.self_test()


def test_cuda_is_refused_where_the_wheel_has_none(framewise_graph: Path) -> None:
    with pytest.raises(BundleError, match="install the `gpu` extra"):
        Bundle.load(framewise_graph, device="cuda")


class Runtime:
    """ONNX Runtime with a GPU that may not work."""

    def __init__(self, *, works: bool) -> None:
        self._works = works
        self.asked: list[Any] = []
        self.options: Any = None
        self.preloaded = False

    def __getattr__(self, name: str) -> Any:
        return getattr(load_runtime(), name)

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def preload_dlls(self) -> None:
        self.preloaded = True

    def InferenceSession(self, content: bytes, options: Any, providers: list[Any]) -> Any:  # noqa: N802
        self.asked, self.options = providers, options
        session = load_runtime().InferenceSession(content, options, providers=[CPU])
        works = self._works

        class Session:
            def __getattr__(self, name: str) -> Any:
                return getattr(session, name)

            def get_providers(self) -> list[str]:
                return [CUDA, CPU] if works else [CPU]

        return Session()


def test_a_silent_fall_back_to_the_cpu_is_no_cuda(
    framewise_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(works=False)
    monkeypatch.setattr(module, "load_runtime", lambda: runtime)
    with pytest.raises(BundleError, match=r"asked for cuda, .* fell back to \['CPU.*nvidia-smi"):
        Bundle.load(framewise_graph, device="cuda")
    assert Bundle.load(framewise_graph, device="auto").provider == CPU


def test_a_window_is_run_by_one_thread_that_sleeps_when_it_has_nothing_to_do(
    framewise_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(works=False)
    monkeypatch.setattr(module, "load_runtime", lambda: runtime)
    Bundle.load(framewise_graph, device="cpu")
    assert runtime.options.intra_op_num_threads == 1
    assert runtime.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    runtime = Runtime(works=True)
    monkeypatch.setattr(module, "load_runtime", lambda: runtime)
    return runtime


def test_on_cuda_convolutions_are_found_by_heuristic_and_batches_are_large(
    framewise_graph: Path, gpu: Runtime
) -> None:
    bundle = Bundle.load(framewise_graph, device="cuda")
    assert gpu.asked == [(CUDA, {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}), CPU]
    assert gpu.preloaded
    assert bundle.on_cuda
    policy = policy_for(bundle)
    assert (policy.workers, policy.sizes[-1], policy.grouped_samples) == (2, 64, None)
    assert policy.linger_s > 0
    assert policy.queue_windows == 4096


def test_a_session_that_captures_is_the_same_graph_on_the_gpu_of_one_shape(
    framewise_graph: Path, gpu: Runtime
) -> None:
    bundle = Bundle.load(framewise_graph, device="cuda")
    values, session, device = bundle.open_capturing((4, 1024))
    ((provider, options),) = gpu.asked
    assert (provider, device, values) == (CUDA, "cuda", load_runtime().OrtValue)
    assert options == {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "enable_cuda_graph": "1"}
    assert session.get_inputs()[0].shape == [4, 1024]


def test_both_wheels_at_once_are_refused(framewise_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.30")
    with pytest.raises(BundleError, match=r"onnxruntime 1\.30 and onnxruntime-gpu 1\.30 are both installed"):
        Bundle.load(framewise_graph)


def test_telemetry_is_off_before_the_runtime_is_imported() -> None:
    program = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import service.engine.bundle
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1"]


def test_only_one_module_of_the_service_imports_the_runtime() -> None:
    root = Path(__file__).parents[3] / "service"
    importers = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(
            line.strip().startswith(("import onnxruntime", "from onnxruntime"))
            for line in path.read_text().splitlines()
        )
    ]
    assert importers == ["engine/runtime.py"]


@pytest.mark.parametrize(("workers", "windows"), [(1, 1024), (8, 1024), (32, 4096), (128, 16_384)])
def test_a_few_long_recordings_never_fill_the_queue_however_many_cores(
    framewise: Bundle, workers: int, windows: int
) -> None:
    policy = policy_for(framewise, workers=workers)
    assert policy.queue_windows == windows
    assert policy.queue_windows >= 16 * policy.in_flight
    assert policy_for(framewise, workers=workers, queue_windows=5).queue_windows == 5


def test_a_batch_that_changes_bits_is_never_formed(
    framewise: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert framewise.largest_equal_batch(3, 16_000) == 3
    assert policy_for(framewise, workers=3).sizes == (1, 2, 3, 4)
    assert policy_for(framewise, workers=3).workers == 3
    run = Bundle.run

    def rounded(self: Bundle, waveforms: Any) -> Any:
        out = run(self, waveforms)
        out.tags[...] += np.float32(1e-6) * (len(waveforms) > most)
        return out

    monkeypatch.setattr(Bundle, "run", rounded)
    for most in (1, 2, 3):
        assert framewise.largest_equal_batch(4, 16_000) == most
        assert policy_for(framewise).sizes == (1, 2, 3)[:most]
