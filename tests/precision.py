"""What tests of bfloat16 at full size need of a machine."""

import pytest
import torch

from rwae_core.precision import has_bfloat16

BFLOAT16 = pytest.mark.skipif(
    not has_bfloat16(torch.device("cpu")),
    reason="this processor has no instructions for bfloat16, and takes minutes or refuses: run it on one that has",
)
