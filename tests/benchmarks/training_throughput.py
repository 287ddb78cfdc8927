"""How many chunks a second each system learns from.

`python -m tests.benchmarks.training_throughput [--threads N] [--batch-size N] [--device cuda]`: steps of
augmentation, forward, backward and optimizer on random features of 4-s chunks, as the trainer takes them,
without reading a disk. Beside the clock's time stands the processor's, which other work hardly changes.
"""

import argparse
import time
from dataclasses import replace

import torch

from model_export.models.registry import SYSTEMS
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.config import TrainConfig
from model_export.training.augment import augment
from model_export.training.optimizer import optimizer_of
from model_export.training.precision import fastest_precision

FRAMES = 249


def chunks_a_second(config: TrainConfig, device: str, seconds: float) -> tuple[float, float]:
    """Of training, after two steps that do not count; and processor milliseconds a chunk."""
    torch.manual_seed(0)
    tagger = WaveformTagger.build(config.frontend, config.network).train().to(device)
    network = tagger.network
    optimizer = optimizer_of(network, config.optimizer, config.learning_rate, config.weight_decay)
    mels = config.frontend.n_mels
    features = torch.randn(config.batch_size, FRAMES, mels, device=device)
    targets = torch.randint(0, 2, (config.batch_size, len(config.labels)), device=device).float()
    scored = torch.ones(len(config.labels), dtype=torch.bool, device=device)
    mixed = config.precision == "bf16-mixed"

    def step() -> None:
        varied, labels = augment(
            features, targets, scored, tagger.frontend.mean, config.augment, config.frontend.floor
        )
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            loss = network.loss(network(varied), labels, varied)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), config.gradient_norm)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    step()
    steps, started, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        step()
        steps += 1
    chunks = steps * config.batch_size
    return chunks / (time.perf_counter() - started), 1000 * (time.process_time() - busy) / chunks


def main() -> None:
    """Print a row a system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default=fastest_precision())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--system", action="append", choices=[name for name in SYSTEMS if name != "gmm"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} threads, batch {given.batch_size}, {given.precision}, {given.device}")
    for name in given.system or [name for name in SYSTEMS if name != "gmm"]:
        config = replace(
            TrainConfig.from_dict({"network": {"name": name}}),
            batch_size=given.batch_size,
            precision=given.precision,
        )
        rate, busy_ms = chunks_a_second(config, given.device, given.seconds)
        print(f"{name:>14}  {rate:7.1f} chunks/s  {busy_ms:6.1f} ms of processor a chunk", flush=True)


if __name__ == "__main__":
    main()
