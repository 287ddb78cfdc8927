import base64
import io

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.api.spectrogram import BANDS, HIGH_DB, LOW_DB, Spectrogram, _bands
from tests.service.api.serving import wav

RATE, N_FFT, HOP = 16_000, 512, 256


def slowly(samples: NDArray[np.float32], group: int) -> NDArray[np.float64]:
    """(columns, bands) in decibels, as a textbook would."""
    window = np.hanning(N_FFT + 1)[:-1]
    _, bank = _bands(RATE, N_FFT)
    frames = []
    for start in range(0, len(samples) - N_FFT + 1, HOP):
        spectrum = (
            np.abs(np.fft.rfft(samples[start : start + N_FFT].astype(float) * window)) * 2 / window.sum()
        )
        frames.append(bank @ spectrum**2)
    columns = [np.mean(frames[at : at + group], axis=0) for at in range(0, len(frames), group)]
    power = np.array(columns, np.float64).reshape(-1, BANDS)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (LOW_DB / 10)))
    return decibels


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 6000), st.integers(1, 9), st.lists(st.integers(0, 6000), max_size=5), st.integers(0, 2**16)
)
def test_any_blocks_give_what_the_slow_one_gives(length: int, group: int, cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.2, length).astype(np.float32)
    fast = Spectrogram(RATE, N_FFT, HOP, group)
    for block in np.split(samples, sorted(cut for cut in cuts if cut < length)):
        fast.push(block)
    got = fast.finish() / 255 * (HIGH_DB - LOW_DB) + LOW_DB
    expected = slowly(samples, group)
    assert got.shape == expected.shape
    assert np.allclose(got, np.clip(expected, LOW_DB, HIGH_DB), atol=0.3)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 5000.0])
def test_a_tone_is_where_it_belongs(client: httpx.Client, hertz: float) -> None:
    query = {"include": "spectrogram", "store": "false"}
    headers = {"content-type": "audio/wav"}
    document = client.post("/tag", params=query, content=wav(2.0, hertz=hertz), headers=headers).json()[
        "spectrogram"
    ]
    values = np.frombuffer(base64.b64decode(document["data"]), np.uint8).reshape(document["count"], -1)
    assert values.shape == (124, len(document["bands_hz"]))
    assert document["hop"] == document["first"] == 0.016
    loudest = document["bands_hz"][int(values.mean(axis=0).argmax())]
    assert loudest == pytest.approx(hertz, rel=0.15)
    level = values.max() / 255 * (document["high_db"] - document["low_db"]) + document["low_db"]
    assert -14 < level < -6  # half of full scale is -6 dB; a band's weights lie beside the peak


def test_a_long_recording_has_wider_columns(client: httpx.Client) -> None:
    query = {"include": "spectrogram", "store": "false"}
    headers = {"content-type": "audio/wav"}
    document = client.post("/tag", params=query, content=wav(40.0), headers=headers).json()["spectrogram"]
    frames = (40 * RATE - N_FFT) // HOP + 1
    assert document["count"] == -(-frames // 3) <= 1200
    assert document["hop"] == 0.048
    assert document["first"] == 0.032


def test_a_flac_written_into_a_pipe_has_columns_as_fine_as_another(client: httpx.Client) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(2 * RATE), RATE, format="FLAC")
    told = bytearray(file.getvalue())
    told[21] &= 0xF0  # the number of samples, which who writes into a pipe cannot know
    told[22:26] = bytes(4)
    query = {"include": "spectrogram", "store": "false"}
    answer = client.post("/tag", params=query, content=bytes(told), headers={"content-type": "audio/flac"})
    document = answer.json()["spectrogram"]
    assert (document["count"], document["hop"]) == (124, 0.016)
