"""Rooms to mix in: simulated shoeboxes and the measured responses of a split."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.array_file import draft_of
from model_export.data.corpus import SAMPLE_RATE, RoomResponse, open_audio

LENGTH = SAMPLE_RATE  # every response is cut to one second


@dataclass(frozen=True, slots=True)
class Room:
    """Impulse responses of several source positions to one microphone.

    Attributes:
        responses: each (samples,) float32, from the direct sound on, at most one second, unit energy.
    """

    id: str
    measured: bool
    responses: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True)
class SimulatedRooms:
    """The bank of simulated rooms; lengths in metres.

    Attributes:
        rooms: how many; each has `positions` source positions and one microphone.
        width, depth, height: intervals of the three sides.
        rt60_s: reverberation time, uniform.
        wall: least distance of anything from a wall.
    """

    rooms: int = 70
    positions: int = 5
    width: tuple[float, float] = (2.2, 8.0)
    depth: tuple[float, float] = (2.2, 6.0)
    height: tuple[float, float] = (2.2, 3.5)
    rt60_s: tuple[float, float] = (0.15, 0.9)
    wall: float = 0.3


def simulate(config: SimulatedRooms, seed: int, cache: Path) -> tuple[Room, ...]:
    """The bank of one seed, read from `cache` where it has been computed before.

    Image sources up to the third order, ray tracing behind them (pyroomacoustics).
    """
    digest = hashlib.sha256(f"{config} {seed}".encode()).hexdigest()[:12]
    path = cache / f"rooms-{digest}.npz"
    if path.exists():
        stored = np.load(path)["responses"]
    else:
        cache.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, 0x526F6F6D])
        stored = np.stack([_shoebox(config, rng) for _ in tqdm(range(config.rooms), "simulate", unit="room")])
        with draft_of(path) as draft:
            np.savez(draft, responses=stored)
    return tuple(
        Room(f"simulated-{i}", False, tuple(_trimmed(response) for response in responses))
        for i, responses in enumerate(stored)
    )


def _shoebox(config: SimulatedRooms, rng: np.random.Generator) -> NDArray[np.float32]:
    """(positions, LENGTH) responses of one random room."""
    sides = np.array([rng.uniform(*config.width), rng.uniform(*config.depth), rng.uniform(*config.height)])
    # Sabine's formula has no solution for very short times in large rooms: walls cannot absorb more than all.
    volume, surface = sides.prod(), 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[0] * sides[2])
    absorption = min(0.95, 0.161 * volume / (surface * rng.uniform(*config.rt60_s)))
    pra.random.seed(int(rng.integers(2**31)))
    room = pra.ShoeBox(
        sides,
        fs=SAMPLE_RATE,
        materials=pra.Material(absorption, float(rng.uniform(0.05, 0.4))),
        max_order=3,
        ray_tracing=True,
        air_absorption=True,
    )
    room.set_ray_tracing(n_rays=3000)
    for _ in range(config.positions):
        room.add_source(rng.uniform(config.wall, sides - config.wall))
    room.add_microphone(rng.uniform(config.wall, sides - config.wall))
    room.compute_rir()
    responses = np.zeros((config.positions, LENGTH), dtype=np.float32)
    for row, response in zip(responses, room.rir[0], strict=True):
        aligned = _from_direct_sound(np.asarray(response, dtype=np.float32))[:LENGTH]
        row[: len(aligned)] = aligned / np.sqrt(np.sum(aligned**2))
    return responses


def load_measured(responses: tuple[RoomResponse, ...]) -> tuple[Room, ...]:
    """The measured responses, grouped by room.

    Raises:
        CorpusError: a file cannot be read, is not mono, or not at 16 kHz.
    """
    rooms: dict[str, list[NDArray[np.float32]]] = {}
    for response in responses:
        with open_audio(response.path) as file:
            samples = file.read(dtype="float32")
        aligned = _from_direct_sound(samples)[:LENGTH]
        rooms.setdefault(response.room, []).append(_trimmed(aligned / np.sqrt(np.sum(aligned**2))))
    return tuple(Room(name, True, tuple(group)) for name, group in sorted(rooms.items()))


def _from_direct_sound(response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut what comes more than 1 ms before the direct sound, so that truth and sound stay together."""
    level = np.abs(response)
    direct = int(np.argmax(level > 0.4 * level.max()))
    return response[max(0, direct - SAMPLE_RATE // 1000) :]


def _trimmed(response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the tail that carries less than a millionth of the energy: shorter convolutions."""
    remaining = np.cumsum(response[::-1] ** 2)[::-1]
    return response[: max(1, int(np.count_nonzero(remaining > 1e-6 * remaining[0])))]
