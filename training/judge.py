"""The judge of Sprites: a conv encoder and a BiLSTM that name the action and the four attributes of a clip.

It learns from real training characters only, and may judge once it is right on real test clips.
Shapes: B clips, T frames, A = 9 actions, V = 6 variants.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from training.datasets.sprites import ACTIONS, ATTRIBUTES, VARIANTS, Labels, Sprites

STEPS, BATCH, LEARNING_RATE, SEED = 700, 48, 1e-3, 0
REQUIRED_ACCURACY = 0.999


class Judge(nn.Module):
    """Logits of the action (9) and of each attribute (6 each)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 32), (32, 64), (64, 96), (96, 128)):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 256), nn.ReLU())
        self.lstm = nn.LSTM(256, 128, batch_first=True, bidirectional=True)
        self.action = nn.Linear(256, len(ACTIONS))
        self.attributes = nn.Linear(256, len(ATTRIBUTES) * VARIANTS)

    def forward(self, clip: Float[Tensor, "B T C H W"]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B 4 V"]]:
        features = self.lstm(self.encoder(clip.flatten(0, 1)).unflatten(0, clip.shape[:2]))[0].mean(1)
        return self.action(features), self.attributes(features).unflatten(1, (len(ATTRIBUTES), VARIANTS))

    def verdict(self, clip: Float[Tensor, "B T C H W"]) -> Labels:
        """The likeliest labels."""
        action, attributes = self(clip)
        variants = attributes.argmax(-1).unbind(1)
        return {"action": action.argmax(-1), **dict(zip(ATTRIBUTES, variants, strict=True))}


def train_judge(folder: Path, device: torch.device | str = "cpu") -> Judge:
    """Trains on the 900 training characters, with noise and small shifts so that it also reads imperfect pictures."""
    torch.manual_seed(SEED)
    data = Sprites(folder, "train", device)
    judge = Judge().to(device)
    optimiser = torch.optim.Adam(judge.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    for _ in trange(STEPS, desc="judge", file=sys.stderr):
        indices = torch.randint(len(data), (BATCH,))
        labels = data.labels(indices)
        clip = data.compose(labels)
        clip = clip + 0.05 * torch.rand(BATCH, 1, 1, 1, 1, device=clip.device) * torch.randn_like(clip)
        action, attributes = judge(clip)
        variants = torch.stack([labels[name] for name in ATTRIBUTES], 1)
        loss = functional.cross_entropy(action, labels["action"])
        loss = loss + functional.cross_entropy(attributes.flatten(0, 1), variants.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


def load_judge(folder: Path, cache: Path, device: torch.device | str = "cpu") -> Judge:
    """The judge of this recipe and data, trained the first time and then read from `cache`."""
    recipe = hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode())
    for sheet in sorted(Path(folder).glob("*/*.png")):
        recipe.update(sheet.read_bytes())
    path = cache / f"sprites-judge-{recipe.hexdigest()[:16]}.safetensors"
    if path.exists():
        judge = Judge().to(device)
        judge.load_state_dict(load_file(path, device=str(device)))
        return judge.eval()
    judge = train_judge(folder, device)
    cache.mkdir(parents=True, exist_ok=True)
    save_file(judge.state_dict(), path)
    return judge
