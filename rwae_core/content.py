"""Posteriors of the static code, Q_φ(z^c | x_{1:T}).

Shapes: B clips, T frames of C×H×W or of K bins, F features of a frame, Dc content dimensions.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import ModelConfig
from rwae_core.frames.strided import Down
from rwae_core.gaussian import Gaussian, GaussianHead

CONTRAST = 4.0
"""Speech fills about a quarter of a spectrum's range of 100 dB; this brings it to about 1."""


class RecurrentContent(nn.Module):
    """The paper's: an LSTM over the features h_{1:T} of all frames (Fig. 1b). It can see the whole motion."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.hidden_dim, config.hidden_dim, batch_first=True)
        self.head = GaussianHead(config.hidden_dim, config.content_dim)

    def forward(self, features: Float[Tensor, "B T F"]) -> Gaussian:
        return self.head(self.lstm(features)[0][:, -1])


class PatchContent(nn.Module):
    """A bag of patches: features of square patches, pooled (mean and maximum) over space and time.

    n `patch_widths` see patches of 3 · 2^n − 2 pixels: 22 of three, 46 of four.

    It sees local appearance only, neither the order of the frames nor where a patch lies, so pose and motion can
    reach the decoder through z^m alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((config.channels, *config.patch_widths)):
            layers += [Down(before, after), nn.LeakyReLU(0.2, inplace=True)]
        last = config.patch_widths[-1]
        self.patches = nn.Sequential(*layers, nn.Conv2d(last, last, 1), nn.LeakyReLU(0.2, inplace=True))
        self.pooled = nn.Sequential(nn.Linear(2 * last, last), nn.LeakyReLU(0.2))
        self.head = GaussianHead(last, config.content_dim)

    def forward(self, clip: Float[Tensor, "B T C H W"]) -> Gaussian:
        patches = self.patches(clip.flatten(0, 1))
        bag = patches.unflatten(0, clip.shape[:2]).movedim(2, -1).flatten(1, 3)  # B, T·H'·W', channels
        most = bag.max(1).values  # amax shares its gradient between equals, in several passes
        return self.head(self.pooled(torch.cat([bag.mean(1), most], dim=-1)))


class GlimpseContent(nn.Module):
    """A glimpse of the object wherever it is: a window around each frame's foreground, its features averaged over time.

    The window moves with the object, so where it is can reach the decoder through z^m alone, while its shape, which a
    bag of patches sees in pieces, is seen whole. The foreground is what differs from the frame's border.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.window = config.size // 2
        layers: list[nn.Module] = []
        for before, after in pairwise((config.channels, *config.patch_widths)):
            layers += [Down(before, after), nn.LeakyReLU(0.2, inplace=True)]
        side = self.window >> len(config.patch_widths)
        self.seen = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(config.patch_widths[-1] * side**2, config.hidden_dim), nn.LeakyReLU(0.2)
        )
        self.head = GaussianHead(config.hidden_dim, config.content_dim)

    def forward(self, clip: Float[Tensor, "B T C H W"]) -> Gaussian:
        return self.head(self.seen(glimpses(clip.flatten(0, 1), self.window)).unflatten(0, clip.shape[:2]).mean(1))


def glimpses(frames: Float[Tensor, "N C H W"], window: int) -> Float[Tensor, "N C {window} {window}"]:
    """Windows around the centre of mass of (x − b)², b the median colour of the frame's border.

    Beyond a frame's edge a window shows its edge. Its place has no gradient.
    """
    height, width = frames.shape[2:]
    sides = [frames[:, :, 0], frames[:, :, -1], frames[:, :, :, 0], frames[:, :, :, -1]]
    border = torch.cat(sides, 2).median(2).values[:, :, None, None]
    mass = (frames.detach() - border).float().square().sum(1) + 1e-6  # of an empty frame the centre is the middle
    starts = []
    for along, size in ((mass.sum(2), height), (mass.sum(1), width)):
        places = torch.arange(size, device=frames.device, dtype=along.dtype) + 0.5
        starts.append(((along * places).sum(1) / along.sum(1)).round().long())
    offsets, margin = torch.arange(window, device=frames.device), window // 2
    rows, columns = (
        (start[:, None] + offsets - margin).clamp(0, size - 1)
        for start, size in zip(starts, (height, width), strict=True)
    )
    each = torch.arange(len(frames), device=frames.device)[:, None, None]
    return frames.movedim(1, -1)[each, rows[:, :, None], columns[:, None]].movedim(-1, 1)


class PooledContent(nn.Module):
    """Mean and deviation over time of features of each column of a spectrum: who speaks, through which microphone.

    It cannot see the order of the columns, so what is said can reach the decoder through z^m alone. A recording longer
    than the clips a model is trained on is heard in windows as long as those, and is the mean of what they say.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        (bins,), hidden = config.frame_shape, config.hidden_dim
        self.window = config.frames
        self.columns = nn.Sequential(
            nn.Linear(bins, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)
        )
        self.pooled = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.LeakyReLU(0.2))
        self.head = GaussianHead(hidden, config.content_dim)

    def forward(self, clip: Float[Tensor, "B T K"]) -> Gaussian:
        features = self.columns(CONTRAST * clip - 1)
        windows = [self.head(self._pool(window)) for window in features.split(self.window, 1)]
        return Gaussian(
            torch.stack([posterior.mean for posterior in windows]).mean(0),
            torch.stack([posterior.std for posterior in windows]).mean(0),
        )

    def _pool(self, features: Float[Tensor, "B T F"]) -> Float[Tensor, "B F"]:
        # A single column has no deviation, and the gradient of that of equal columns is not finite.
        deviation = (features.var(1, correction=0) + 1e-6).sqrt()
        return self.pooled(torch.cat([features.mean(1), deviation], dim=-1))
