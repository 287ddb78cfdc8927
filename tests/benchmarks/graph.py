"""The exported graph against its plain form, and both against what a core can multiply.

    python -m tests.benchmarks.graph [--checkpoint FILE] [--groups 1 2 4] [--seconds 4] [--rounds 5]

The plain form is the network as its equations are written, exported as it is: the DFT one strided
convolution, the tag layers on three axes. Both forms have the same weights, those of a checkpoint or
untrained ones, and no calibration; the shipped graph, which has one, is measured beside them. They run in
alternation, as the service runs a graph: one session, a thread a core.
"""

import argparse
import copy
import gc
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.data.labels import CHIME_HOME
from model_export.export import Trained, describe, export, trace
from model_export.frontend import FrontEndConfig, LogMel
from model_export.graph.file import embed
from model_export.graph.parity import check_parity, lengths, waveforms
from model_export.models.att_loc_cgrnn import AttLocCGRNN, AttLocConfig
from model_export.models.calibration import Calibration
from model_export.models.prediction import Prediction
from model_export.models.waveform_tagger import WaveformTagger
from service.engine.cpus import usable_cpus
from tests.benchmarks import bare
from tests.benchmarks.operations import multiplications
from tests.benchmarks.report import GRAPH, ROOT, machine, say, table, verdict

TARGET = 1.3
SIZES = (512, 1024, 2048, 4096)  # of the matrices that a core's peak is measured with


class Plain(nn.Module):
    """`WaveformTagger` of an ATT-LOC CGRNN without anything done for speed."""

    def __init__(self, tagger: WaveformTagger) -> None:
        super().__init__()
        assert isinstance(tagger.frontend, LogMel)
        assert isinstance(tagger.network, AttLocCGRNN)
        self.frontend, self.network = tagger.frontend, tagger.network
        self.gru = copy.deepcopy(tagger.network.gru)
        self.gru.batch_first = True
        n_fft = tagger.frontend.config.n_fft
        bins = torch.arange(n_fft // 2 + 1)
        phase = 2 * math.pi * torch.outer(bins, torch.arange(n_fft)).double() / n_fft
        window = torch.hamming_window(n_fft, periodic=True, dtype=torch.float64)
        self.register_buffer("dft", torch.cat([phase.cos() * window, -phase.sin() * window]).float()[:, None])
        mel = torch.zeros(tagger.frontend.config.n_mels, len(bins))
        mel[:, tagger.frontend.spectrum.bins] = tagger.frontend.mel
        self.register_buffer("mel", mel)

    def forward(self, waveform: Tensor) -> Prediction:
        """(batch, samples) to a `Prediction`."""
        return self.answer(self.frontend.standardized(self.features(waveform)))

    def features(self, waveform: Tensor) -> Tensor:
        """(batch, samples) to (batch, frames, mels)."""
        config = self.frontend.config
        spectrum = F.conv1d(
            self.frontend.conditioned(waveform)[:, None], self.get_buffer("dft"), stride=config.hop
        )
        real, imaginary = spectrum.chunk(2, dim=1)  # each (batch, bins, frames)
        mel = self.get_buffer("mel") @ (real.square() + imaginary.square()).sqrt() / config.n_fft
        return (mel.clamp(min=config.floor).log() if config.log else mel).transpose(1, 2)

    def answer(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) to a `Prediction`."""
        network = self.network
        config = network.config
        cnn = network.conv(mel[:, None])
        cnn = F.max_pool2d(cnn, (1, config.n_mels - config.kernel + 1))[:, :, :, 0].relu().transpose(1, 2)
        x = mel if config.attend == "mel" else cnn
        attention = network.attention(x).sigmoid()
        localization = network.localization(x).softmax(dim=2)
        recurrent, _ = self.gru(attention * cnn if config.gate == "cnn" else cnn)
        if config.gate == "gru":
            recurrent = attention * recurrent
        presence = attention * network.output(network.hidden(recurrent).relu()).sigmoid() * localization
        over, under = (
            F.adaptive_avg_pool1d(of.transpose(1, 2), 1)[:, :, 0] for of in (presence, localization)
        )
        tags = over / under.clamp(min=torch.finfo(under.dtype).tiny)
        return Prediction(tags, attention[:, :, 0], localization, presence)


def graphs(folder: Path, checkpoint: Path | None) -> tuple[dict[str, Path], dict[str, float]]:
    """Write both forms; returns them and the largest difference of the plain module to the exported graph."""
    torch.manual_seed(0)
    trained = (
        Trained.read(checkpoint)
        if checkpoint
        else Trained("untrained", WaveformTagger.build(FrontEndConfig(), AttLocConfig()), CHIME_HOME)
    )
    plain = Plain(trained.tagger.eval()).eval()
    config = trained.tagger.frontend.config
    paths = {"plain": folder / "plain.onnx", "exported": folder / "exported.onnx"}
    export(trained, paths["exported"], batches=(1,))
    trace(plain, config.n_fft, paths["plain"])
    embed(describe(trained, Calibration.default(trained.labels), {}, paths["plain"]), paths["plain"])
    samples = lengths(config.n_fft, config.hop, config.sample_rate)
    return paths, check_parity(plain, paths["exported"], waveforms((1, 2), samples))


def peak_gflops(seconds: float) -> float:
    """The fastest product of two square float32 matrices, by numpy or torch, where both have a single thread.

    Which library and which size come closest to what a core can do depends on the core.
    """
    random = np.random.default_rng(0)
    peak = 0.0
    for size in SIZES:
        one, other = random.standard_normal((2, size, size), np.float32)
        out = np.empty_like(one)
        tensors = torch.from_numpy(one), torch.from_numpy(other)
        for multiply in (
            partial(np.matmul, one, other, out=out),
            partial(torch.mm, *tensors, out=torch.from_numpy(out)),
        ):
            fastest_s = _fastest_s(multiply, seconds / (2 * len(SIZES)))
            peak = max(peak, 2 * size**3 / fastest_s / 1e9)
    return peak


def _fastest_s(multiply: Callable[[], object], seconds: float) -> float:
    """Of at least two runs, so that the first, which must find its memory, is not the only one."""
    times: list[float] = []
    until = time.monotonic() + seconds
    while len(times) < 2 or time.monotonic() < until:
        begun = time.thread_time()  # of the processor, so that others who use the core do not count
        multiply()
        times.append(time.thread_time() - begun)
    return min(times)


def peak_of_one_core(seconds: float) -> float:
    """`peak_gflops` in a process with a single thread."""
    single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "tests.benchmarks.graph", "--peak", "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=os.environ | single)
    return float(done.stdout)


def measure(
    paths: dict[str, Path], *, groups: list[int], seconds: float, rounds: int
) -> dict[tuple[str, int], list[bare.Bare]]:
    """Every form in every group size, in alternation."""
    found: dict[tuple[str, int], list[bare.Bare]] = {(form, group): [] for group in groups for form in paths}
    for _ in range(rounds):
        for (form, group), rows in found.items():
            gc.collect()
            rows.append(bare.measure(paths[form], seconds=seconds, batch=group, threads=usable_cpus()))
    return found


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="weights; untrained ones if not given")
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 2, 4], help="chunks a run")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", action="store_true", help="print only the matrix product's GFLOP/s")
    options = parser.parse_args()
    if options.peak:
        sys.stdout.write(f"{peak_gflops(options.seconds)}\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        paths, differences = graphs(Path(folder), options.checkpoint)
        paths["shipped"] = GRAPH
        counted = {form: multiplications(path) for form, path in paths.items()}
        peaks = [peak_of_one_core(options.seconds / 4)]
        found = measure(paths, groups=options.groups, seconds=options.seconds, rounds=options.rounds)
        peaks.append(peak_of_one_core(options.seconds / 4))
    report(found, counted, differences, max(peaks))


def report(
    found: dict[tuple[str, int], list[bare.Bare]],
    counted: dict[str, dict[str, float]],
    differences: dict[str, float],
    peak: float,
) -> None:
    """Print what was measured.

    Ratios are the median of the rounds' ratios: of processor time, which other processes disturb little,
    and of chunks a second, which is the same where the machine is quiet.
    """
    say(machine() + "\n")
    rows = []
    for (form, group), runs in found.items():
        cpu_ms = statistics.median(run.cpu_ms for run in runs)
        gflops = sum(counted[form].values()) / 1e6 / cpu_ms
        per_s = statistics.median(run.chunks_per_s for run in runs)
        ratios = [ratio for than in (group, 1) for ratio in _ratios(runs, found["plain", than])]
        rows.append((f"{form}, group of {group}", per_s, cpu_ms, *ratios, gflops, f"{gflops / peak:.0%}"))
    compared = [f"{by}, x {than}" for than in ("plain", "plain alone") for by in ("CPU", "chunks/s")]
    say(table(["graph", "chunks/s", "CPU ms", *compared, "GFLOP/s a core", "of peak"], rows))
    largest = max(group for _, group in found)
    for title, than in (
        (f"Both in groups of {largest}, against the plain export", largest),
        (f"As it is served, in groups of up to {largest}, against the plain export a chunk at a time", 1),
    ):
        reached = _ratios(found["exported", largest], found["plain", than])
        for name, ratio in zip(("CPU time", "chunks/s"), reached, strict=True):
            say(f"{title}, by {name}: {verdict(ratio, TARGET, at_most=False)}.")
    say(f"Largest difference to the plain form: {max(differences.values()):.1e}.\n")
    operators = sorted(set().union(*counted.values()))
    parts = [(name, *(counted[form].get(name, 0.0) / 1e6 for form in counted)) for name in operators]
    whole = ("all", *(sum(counts.values()) / 1e6 for counts in counted.values()))
    say(table(("MFLOP a 4-s chunk", *counted), [*parts, whole]))
    least_ms = sum(counted["exported"].values()) / 1e6 / peak
    say(
        f"Peak of one core, the fastest float32 matrix product of {SIZES[0]} to {SIZES[-1]} rows by numpy or "
        f"torch: {peak:.0f} GFLOP/s. At that rate the exported graph's products take {least_ms:.2f} ms a "
        "chunk."
    )


def _ratios(runs: list[bare.Bare], than: list[bare.Bare]) -> tuple[float, float]:
    """How much less processor time, and how many times the chunks a second."""
    pairs = list(zip(runs, than, strict=True))
    return (
        statistics.median(old.cpu_ms / new.cpu_ms for new, old in pairs),
        statistics.median(new.chunks_per_s / old.chunks_per_s for new, old in pairs),
    )


if __name__ == "__main__":
    main()
