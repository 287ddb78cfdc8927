"""The number format in which this machine trains fastest."""

from typing import Literal

import torch


def fastest_precision() -> Literal["32-true", "bf16-mixed"]:
    """bfloat16 for the matrix products where the hardware multiplies in it, single precision elsewhere.

    On a processor that does not, PyTorch takes bfloat16 apart in software: a training step of the ATT-LOC
    CGRNN then takes nine times as long as in single precision (docs/training.md).
    """
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        known = torch.cpu.get_capabilities()
        native = any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bf16-mixed" if native else "32-true"
