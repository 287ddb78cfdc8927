"""The mixtures against scikit-learn's own likelihoods, and what they learn."""

import numpy as np
import pytest
import scipy.fft
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from model_export.models.gmm import GMM, FittingError, GMMConfig

CONFIG = GMMConfig(labels=2, n_mels=12, coefficients=4, components=2, most_frames=400)
FRAMES = 30


@pytest.fixture
def chunks() -> torch.Tensor:
    """(20, 30, 12): half of them with a tilt that the first coefficient tells."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((20, FRAMES, 12))
    noise[::2] += np.linspace(1, -1, 12)
    return torch.from_numpy(noise).float()


@pytest.fixture
def targets() -> NDArray[np.float32]:
    """The first label tells the tilt, the second is in no chunk."""
    return np.array([[(chunk + 1) % 2, 0] for chunk in range(20)], dtype=np.float32)


def fitted(chunks: torch.Tensor, targets: NDArray[np.float32], config: GMMConfig = CONFIG) -> GMM:
    module = GMM(config).eval()
    module.fit(lambda numbers: chunks[torch.from_numpy(numbers)], targets, seed=0)
    return module


def test_the_ratio_is_that_of_scikit_learns_mixtures(
    chunks: torch.Tensor, targets: NDArray[np.float32]
) -> None:
    config = GMMConfig(labels=2, n_mels=12, coefficients=4, components=2)  # every frame: nothing drawn
    module = fitted(chunks, targets, config)
    cepstra = scipy.fft.dct(chunks.numpy().astype(np.float64), norm="ortho")[:, :, 1:5]
    flat = cepstra.reshape(-1, 4)
    normal = (cepstra - flat.mean(axis=0)) / flat.std(axis=0)
    ratio = np.zeros((20, FRAMES))
    for side, sign in ((1, 1), (0, -1)):
        of = normal[targets[:, 0] == side].reshape(-1, 4)
        mixture = GaussianMixture(2, reg_covar=1e-3, random_state=0).fit(of)
        ratio = ratio + sign * mixture.score_samples(normal.reshape(-1, 4)).reshape(20, FRAMES)
    found = module(chunks)
    assert found.presence[:, :, 0].numpy() == pytest.approx(1 / (1 + np.exp(-ratio)), abs=1e-3)
    assert found.tags[:, 0].numpy() == pytest.approx(1 / (1 + np.exp(-ratio.mean(axis=1))), abs=1e-3)


def test_it_tells_the_chunks_apart(chunks: torch.Tensor, targets: NDArray[np.float32]) -> None:
    tags = fitted(chunks, targets)(chunks).tags[:, 0].numpy()
    assert tags[::2].min() > tags[1::2].max()


def test_a_label_in_no_chunk_scores_one_half(
    chunks: torch.Tensor, targets: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    assert fitted(chunks, targets)(chunks).tags[:, 1].numpy() == pytest.approx(0.5)
    assert "label 1 is in no or in every training chunk" in caplog.text


def test_what_cannot_be_fitted_is_refused(chunks: torch.Tensor) -> None:
    with pytest.raises(FittingError, match="no label is in some but not all of 20"):
        fitted(chunks, np.ones((20, 2), dtype=np.float32))
    few = chunks[:2, :1]
    with pytest.raises(FittingError, match="1 frames for a mixture of 2"):
        fitted(few, np.array([[1, 0], [0, 0]], dtype=np.float32))
