"""The action of a clip in weakly supervised models, q_φ(a | x_{1:T}, z^m_{1:T}) (section 3.4, Fig. 8c).

Shapes: B clips, T steps, Dm motion dimensions, A actions.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import ModelConfig
from rwae_core.precision import at_least_single


class ActionPosterior(nn.Module):
    """An LSTM over the motion codes; its last state gives the logits of the actions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.motion_dim, config.hidden_dim, batch_first=True)
        self.logits = nn.Linear(config.hidden_dim, config.actions)

    def forward(self, z_m: Float[Tensor, "B T Dm"]) -> Float[Tensor, "B A"]:
        return at_least_single(self.logits(self.lstm(z_m)[0][:, -1]))

    def begin(self) -> None:
        """Forgets what it learned: random weights, as of a new one."""
        self.lstm.reset_parameters()
        self.logits.reset_parameters()
