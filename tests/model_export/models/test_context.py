"""Context windows against a slow loop, and the three networks that walk by them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model_export.models.context import context_windows, to_frames
from model_export.models.cqt_cnn import CqtCNN, CqtCNNConfig
from model_export.models.dae_dnn import DaeDNN, DaeDNNConfig
from model_export.models.mel_cnn import MelCNN, MelCNNConfig

LABELS = 3


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9))
def test_windows_and_their_frames_are_those_of_a_loop(frames: int, width: int, stride: int) -> None:
    features = torch.arange(2 * frames * 2, dtype=torch.float32).reshape(2, frames, 2)
    windows = context_windows(features, width, stride)
    expected = []
    for start in range(0, frames, stride):
        first = start + stride // 2 - width // 2
        expected.append([min(max(frame, 0), frames - 1) for frame in range(first, first + width)])
    assert torch.equal(windows, features[:, torch.tensor(expected)])

    numbers = torch.arange(windows.shape[1], dtype=torch.float32).reshape(1, -1, 1).expand(2, -1, 1)
    back = to_frames(numbers, stride, features)
    assert back[0, :, 0].tolist() == [frame // stride for frame in range(frames)]


def mel_cnn() -> MelCNN:
    torch.manual_seed(0)
    return MelCNN(MelCNNConfig(LABELS, 10, width=5, stride=2, maps=4, kernel=3, pools=(5, 2), hidden=6))


def cqt_cnn() -> CqtCNN:
    torch.manual_seed(0)
    return CqtCNN(
        CqtCNNConfig(
            LABELS,
            12,
            width=8,
            stride=4,
            kernels=2,
            timbre_kernel=(5, 3),
            timbre_pool=(2, 1),
            rhythm_kernel=(4, 5),
            rhythm_pool=(1, 3),
            hidden=6,
        )
    )


def dae_dnn() -> DaeDNN:
    torch.manual_seed(0)
    config = DaeDNNConfig(LABELS, 10, dae_context=3, dae_hidden=8, bottleneck=4, width=7, stride=3)
    return DaeDNN(config)


@pytest.mark.parametrize("make", [mel_cnn, cqt_cnn, dae_dnn])
@pytest.mark.parametrize("frames", [1, 2, 9, 20])
def test_tags_are_the_mean_over_windows_and_presence_is_theirs(
    make: type[MelCNN | CqtCNN | DaeDNN], frames: int
) -> None:
    module = make().eval()  # type: ignore[call-arg]
    config = module.config
    features = torch.randn(2, frames, config.n_mels)
    with torch.no_grad():
        found = module(features)
    assert [tuple(output.shape) for output in found] == [
        (2, LABELS),
        (2, frames),
        (2, frames, LABELS),
        (2, frames, LABELS),
    ]
    once = found.presence[:, :: config.stride]
    assert found.tags.numpy() == pytest.approx(once.mean(dim=1).numpy(), abs=1e-6)
    assert found.localization.numpy() == pytest.approx(1 / LABELS)
    assert found.attention.numpy() == pytest.approx(1.0)


def test_a_window_answers_from_its_own_frames_alone() -> None:
    module = mel_cnn().eval()
    features = torch.randn(1, 20, 10)
    changed = features.clone()
    changed[:, 12:] += 3.0
    with torch.no_grad():
        before, after = module(features).presence[0], module(changed).presence[0]
    # The window of frames 8 and 9 is centred on 9 and reaches to 11; the next one to 13.
    assert torch.equal(before[:10], after[:10])
    assert not torch.allclose(before[10:12], after[10:12])


def test_every_window_is_held_to_the_label_of_its_chunk() -> None:
    module = mel_cnn().eval()
    features = torch.randn(2, 8, 10)
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    prediction = module(features)
    o, p = prediction.presence.detach().numpy(), targets.numpy()[:, None]
    expected = -np.mean(p * np.log(o) + (1 - p) * np.log(1 - o))
    assert module.loss(prediction, targets, features).item() == pytest.approx(expected, rel=1e-5)


def test_pools_that_leave_no_band_are_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing of 10 bands"):
        MelCNN(MelCNNConfig(LABELS, 10, pools=(5, 4, 2)))


def test_labels_do_not_reach_the_auto_encoder_and_it_learns_to_restore() -> None:
    module = dae_dnn()
    features = torch.randn(4, 20, 10)
    targets = torch.ones(4, LABELS)
    prediction = module(features)
    prediction.tags.sum().backward()
    assert all(parameter.grad is None for parameter in module.encoder.parameters())
    assert all(parameter.grad is not None for parameter in module.tagger.parameters())
    module.loss(module(features), targets, features).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in module.encoder.parameters())
    assert all(parameter.grad is not None for parameter in module.decoder.parameters())
