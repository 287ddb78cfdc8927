"""Lightning advises on workers, intervals and folders, and touches a pytree interface of torch's past."""

from collections.abc import Callable
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., None])

UNHEEDED = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.rank_zero.LightningDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
]


def unheeded(test: Test) -> Test:
    """A test that trains; a module of them has `pytestmark = UNHEEDED`."""
    for mark in UNHEEDED:
        test = mark(test)
    return test
