"""GMM: Gaussian mixtures on cepstral coefficients, the baseline of DCASE 2016 Task 4.

P. Foster, T. Heittola, "DCASE2016 baseline system", 2016: for each label one mixture of 8 Gaussians of
full covariance over the frames of the chunks that have it and one over the others, at least 1e-3 of
variance, 100 iterations; mel-cepstral coefficients of 40 mel bands without the zeroth, normalized; the
score is the log-likelihood ratio. Checked against its published configuration, baseline/
task4_audio_tagging.yaml, whose `n_mfcc: 14` is counted here without the zeroth.
It differs where the other systems decide: the frames (32 ms, half overlapped, instead of 20 ms), so that
one frame-level truth serves every system; the ratio is the mean over the frames instead of their sum,
which ranks equally long chunks alike, and passes a sigmoid, so that it is a `Prediction` and exported,
evaluated and served as every other. Fitted by scikit-learn's expectation maximization, not by gradients.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio.functional
from numpy.typing import NDArray
from torch import Tensor

from model_export.models.network import Network, NetworkConfig
from model_export.models.prediction import Prediction
from service.engine.errors import AttLocError

_LOG = logging.getLogger(__name__)


class FittingError(AttLocError):
    """The training chunks do not suffice for a mixture."""


@dataclass(frozen=True, slots=True)
class GMMConfig(NetworkConfig):
    """The baseline's parameters.

    Attributes:
        coefficients: cepstral, from the first on.
        components: Gaussians of each mixture.
        min_covariance: added to each variance of the normalized coefficients.
        iterations: of expectation maximization, at most.
        most_frames: drawn at random from a label's chunks for each mixture; the baseline took all.
    """

    coefficients: int = 14
    components: int = 8
    min_covariance: float = 1e-3
    iterations: int = 100
    most_frames: int = 100_000


class GMM(Network):
    """Two mixtures a label; reads features that were not standardized, natural-log mel magnitudes.

    Its axes `side` are (without the label, with it).
    """

    dct: Tensor
    mean: Tensor
    scale: Tensor
    means: Tensor
    whitening: Tensor
    offsets: Tensor

    def __init__(self, config: GMMConfig) -> None:
        super().__init__()
        self.config = config
        dct = torchaudio.functional.create_dct(config.coefficients + 1, config.n_mels, norm="ortho")
        self.register_buffer("dct", dct[:, 1:].contiguous(), persistent=False)  # (mels, coefficients)
        mixtures, size = config.labels * 2 * config.components, config.coefficients
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        # One axis of labels x side x components: a matrix product for all of them.
        self.register_buffer("means", torch.zeros(mixtures, size))
        self.register_buffer("whitening", torch.eye(size).repeat(mixtures, 1, 1))
        self.register_buffer("offsets", torch.zeros(mixtures))

    def forward(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) natural-log mel magnitudes to a `Prediction`."""
        config = self.config
        coefficients = ((mel @ self.dct) - self.mean) * self.scale  # (batch, frames, coefficients)
        # (batch, frames, mixtures, coefficients), of unit covariance about each Gaussian's mean
        white = torch.einsum("btc,mcd->btmd", coefficients, self.whitening) - self.means
        logs = self.offsets - 0.5 * white.square().sum(dim=3)  # (batch, frames, mixtures)
        split = logs.reshape(*logs.shape[:2], config.labels, 2, config.components)
        sides = split.logsumexp(dim=4)  # (batch, frames, labels, 2)
        ratio = sides[:, :, :, 1] - sides[:, :, :, 0]  # (batch, frames, labels)
        presence = ratio.sigmoid()
        everywhere = torch.ones_like(presence)
        tags = ratio.mean(dim=1).sigmoid()  # (batch, labels)
        return Prediction(tags, everywhere[:, :, 0], everywhere / config.labels, presence)

    def fit(
        self, chunks: Callable[[NDArray[np.intp]], Tensor], targets: NDArray[np.float32], seed: int
    ) -> None:
        """Estimate every mixture.

        Args:
            chunks: of chunk numbers (n,), their features (n, frames, mels).
            targets: (chunks, labels) in [0, 1].
            seed: of the frames drawn and of the first means.

        Raises:
            FittingError: fewer frames than Gaussians on one side of every label.
        """
        random = np.random.default_rng(seed)
        sample = self._frames(chunks, np.arange(len(targets)), random)
        self.mean.copy_(torch.from_numpy(sample.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(1 / sample.std(axis=0).clip(1e-5)))
        fitted = 0
        for label in range(self.config.labels):
            sides = [np.flatnonzero((targets[:, label] > 0.5) == bool(side)) for side in (0, 1)]
            if min(map(len, sides)) == 0:
                _LOG.warning("label %d is in no or in every training chunk: its score stays 0.5", label)
                continue
            for side, numbers in enumerate(sides):
                self._fit_one(self._frames(chunks, numbers, random), 2 * label + side, seed)
            fitted += 1
        if not fitted:
            raise FittingError(f"no label is in some but not all of {len(targets)} training chunks")

    def _frames(
        self,
        chunks: Callable[[NDArray[np.intp]], Tensor],
        numbers: NDArray[np.intp],
        random: np.random.Generator,
    ) -> NDArray[np.float64]:
        """(frames, coefficients), normalized as far as that is known, of at most `most_frames` frames."""
        frames = chunks(numbers[:1]).shape[1]
        wanted = -(-self.config.most_frames // frames)
        drawn = numbers if len(numbers) <= wanted else random.choice(numbers, wanted, replace=False)
        coefficients = ((chunks(np.sort(drawn)) @ self.dct) - self.mean) * self.scale
        found: NDArray[np.float64] = coefficients.flatten(0, 1).double().numpy()
        return found

    def _fit_one(self, frames: NDArray[np.float64], mixture: int, seed: int) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        config = self.config
        if len(frames) < config.components:
            raise FittingError(f"{len(frames)} frames for a mixture of {config.components} Gaussians")
        model = GaussianMixture(
            config.components,
            reg_covar=config.min_covariance,
            max_iter=config.iterations,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # The baseline stops after as many iterations, converged or not.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(frames)
        # log N = log det(whitening) - |whitening (x - mean)|^2 / 2 - coefficients log(2 pi) / 2
        whitening = model.precisions_cholesky_  # (components, coefficients, coefficients)
        log_dets = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1)
        constant = 0.5 * config.coefficients * np.log(2 * np.pi)
        rows = slice(mixture * config.components, (mixture + 1) * config.components)
        self.whitening[rows] = torch.from_numpy(whitening).float()
        self.means[rows] = torch.from_numpy(np.einsum("kc,kcd->kd", model.means_, whitening)).float()
        self.offsets[rows] = torch.from_numpy(np.log(model.weights_) + log_dets - constant).float()
