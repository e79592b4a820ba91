"""Judges of video: a conv encoder of frames and a BiLSTM that name the factors of a clip.

A judge learns from real training clips only, and may judge once it is right on real test clips. One module makes those
of all datasets; what differs between them is a `Recipe`.
Shapes: B clips, T frames of C×H×W = C×64×64 with values in [0, 1], K classes of a factor.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm, trange

from training.datasets import Dataset
from training.evaluation.request import some
from training.views import warped

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rwae" / "judges"
FRAMES_AT_ONCE, FRAMES_TESTED = 576, 1_000_000
FEATURES = 256
SEED = 0


@dataclass(frozen=True)
class Recipe:
    """How a dataset's judge is made.

    Attributes:
        classes: The factors it names, and how many classes each has.
        required: In how many % of real test clips each factor has to be right.
        steps: Updates of Adam, under a one-cycle schedule.
        batch: Clips of one.
        rate: The highest learning rate.
        noise: Up to which deviation pixels are disturbed: imperfect pictures are to be read, too.
        channels: C.
        widths: Channels of the encoder's convolutions.
        warps: Whether clips are shifted, zoomed and recoloured as a whole, each at random, for data with few takes.
        shift: Pixels that clips are moved by as a whole, at most, for data whose figures always stand at one place.
        crop: Side of the square of each clip that it learns from, wherever that is; then only which patches are seen
            counts, not where or when: clothes and not poses. 0: all of it.
        differences: Whether it also sees what changes from frame to frame, which no background or clothing is part of.
        joint: Factors that are several others together, by name: it learns those, and a joint class has the product of
            their probabilities, numbered with the last changing fastest.
    """

    classes: dict[str, int]
    required: float
    steps: int
    batch: int
    rate: float = 1e-3
    noise: float = 0.05
    channels: int = 3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    warps: bool = False
    shift: int = 0
    crop: int = 0
    differences: bool = False
    joint: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Judge(nn.Module):
    """Logits of each factor, of the mean over time of a BiLSTM's states, or of what each frame's patches show."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = _frame_encoder(recipe.channels, recipe.widths, FEATURES, pooled=recipe.crop > 0)
        self.changes = _frame_encoder(1, (16, 32, 48, 64), FEATURES // 2) if recipe.differences else None
        inputs = FEATURES + (FEATURES // 2 if recipe.differences else 0)
        self.lstm = None if recipe.crop else nn.LSTM(inputs, FEATURES // 2, batch_first=True, bidirectional=True)
        self.joint = recipe.joint
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, count) for name, count in recipe.classes.items()})
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overload is missing

    def forward(self, clip: Float[Tensor, "B T C H W"]) -> dict[str, Float[Tensor, "B _"]]:
        features = self.encoder(clip.flatten(0, 1))
        if self.changes is not None:
            grey = clip.mean(2, keepdim=True)
            change = torch.cat([torch.zeros_like(grey[:, :1]), grey.diff(dim=1)], 1)
            features = torch.cat([features, self.changes(3 * change.flatten(0, 1))], 1)
        steps = features.unflatten(0, clip.shape[:2])
        state = (steps if self.lstm is None else self.lstm(steps)[0]).mean(1)
        found = {name: head(state) for name, head in self.heads.items()}
        for name, parts in self.joint.items():
            total = state.new_zeros(len(clip), 1)
            for part in parts:
                total = (total[:, :, None] + found[part].log_softmax(1)[:, None]).flatten(1)
            found[name] = total
        return found

    def verdict(self, clip: Float[Tensor, "B T C H W"]) -> dict[str, Int[Tensor, " B"]]:
        """The likeliest class of each factor."""
        return {name: logits.argmax(-1) for name, logits in self(clip).items()}

    def frame_features(self, clip: Float[Tensor, "B T C H W"]) -> Float[Tensor, "BT 256"]:
        """What the encoder sees in each frame alone, for frame-level FID."""
        return self.encoder(clip.flatten(0, 1))


def load_judge(
    name: str, recipe: Recipe, training: Dataset, tests: dict[str, Dataset]
) -> tuple[Judge, dict[str, float]]:
    """The judge of this recipe and data, trained the first time and then read from `CACHE`.

    Args:
        name: What its file is called, beside a hash.
        recipe: How it is made.
        training: Real clips to learn from; it judges on their device.
        tests: Real test clips to be right on, by what is added to the factors' names in the accuracies.

    Returns:
        The judge, and how often it is right on real test clips, in %.

    Raises:
        ValueError: that is not often enough to judge.
    """
    path = CACHE / f"{name}-{_key(recipe, training, tests)}.safetensors"
    if path.exists():
        judge = Judge(recipe).to(training.device)
        judge.load_state_dict(load_file(path, device=str(training.device)))
        judge.eval()
        with safe_open(path, framework="pt") as file:
            right: dict[str, float] = json.loads(file.metadata()["accuracy"])
    else:
        judge = train_judge(recipe, training)
        right = {
            factor + suffix: value for suffix, test in tests.items() for factor, value in accuracy(judge, test).items()
        }
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        state = {name: tensor.contiguous() for name, tensor in judge.state_dict().items()}
        save_file(state, partial, {"accuracy": json.dumps(right)})
        partial.replace(path)
    if min(right.values()) < recipe.required:
        found = ", ".join(f"{factor} {value:.2f}" for factor, value in right.items())
        raise ValueError(
            f"the judge of {name} may not judge: on real test clips it is right in {found} %, and "
            f"{recipe.required:g} are required. Check that the data is whole (`python -m training.datasets`)"
        )
    return judge, right


def train_judge(recipe: Recipe, data: Dataset) -> Judge:
    """Trains on real clips with noise and, where the recipe says so, warped or shifted as a whole, or cropped."""
    with torch.random.fork_rng([data.device] if data.device.type == "cuda" else []):
        torch.manual_seed(SEED)
        judge = Judge(recipe).to(data.device)
        optimiser = torch.optim.Adam(judge.parameters(), lr=recipe.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps)
        for _ in trange(recipe.steps, desc="judge", file=sys.stderr):
            indices = torch.randint(len(data), (recipe.batch,))
            clip, labels = data.clips(indices), data.labels(indices)
            if recipe.warps:
                clip = warped(clip)
            if recipe.shift:
                clip = _cropped(functional.pad(clip, [recipe.shift] * 4), clip.shape[-1])
            if recipe.crop:
                clip = _cropped(clip, recipe.crop)
            clip = clip + recipe.noise * torch.rand(len(clip), 1, 1, 1, 1, device=clip.device) * torch.randn_like(clip)
            found = judge(clip)
            loss = sum(functional.cross_entropy(found[name], labels[name]) for name in recipe.classes)
            optimiser.zero_grad()
            torch.as_tensor(loss).backward()
            optimiser.step()
            schedule.step()
    return judge.eval()


@torch.no_grad()
def accuracy(judge: Judge, data: Dataset) -> dict[str, float]:
    """How often the judge is right on clips, in %: on all or, where there are many, on some."""
    chosen = some(len(data), FRAMES_TESTED // data.frames).to(data.device)
    right = []
    for indices in tqdm(in_batches(chosen, data.frames), desc="judge on real clips", leave=False):
        labels = data.labels(indices)
        found = judge.verdict(data.clips(indices))
        right.append(torch.stack([found[name] == labels[name] for name in found], 1).float())
    return dict(zip(found, (100 * torch.cat(right).mean(0)).tolist(), strict=True))


def in_batches(indices: Int[Tensor, " N"], frames: int) -> tuple[Int[Tensor, " _"], ...]:
    """Splits clips so that as many frames are in memory at once, however long the clips are."""
    return indices.split(max(1, FRAMES_AT_ONCE // frames))


def _cropped(clip: Float[Tensor, "B T C H W"], side: int) -> Float[Tensor, "B T C s s"]:
    """A random square of each clip, the same in all its frames."""
    y, x = (torch.randint(length - side + 1, (len(clip),)).tolist() for length in clip.shape[-2:])
    return torch.stack([each[..., a : a + side, b : b + side] for each, a, b in zip(clip, y, x, strict=True)])


def _frame_encoder(channels: int, widths: tuple[int, ...], features: int, *, pooled: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((channels, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    places = (64 >> len(widths)) ** 2
    if pooled:
        layers, places = [*layers, nn.AdaptiveAvgPool2d(1)], 1
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * places, features), nn.ReLU())


def _key(recipe: Recipe, training: Dataset, tests: dict[str, Dataset]) -> str:
    """A hash of the code that makes it, the recipe and the data: all labels, and 32 clips of each split as bytes."""
    digest = hashlib.sha256()
    for part in (Judge, train_judge, warped, _cropped, _frame_encoder):
        digest.update(inspect.getsource(part).encode())
    digest.update(json.dumps(asdict(recipe)).encode())
    for data in (training, *tests.values()):
        chosen = some(len(data), 32).to(data.device)
        digest.update(f"{len(data)} {data.frames}".encode())
        digest.update(data.clips(chosen).mul(255).round().byte().cpu().numpy().tobytes())
        labels = data.labels(torch.arange(len(data), device=data.device))
        named = torch.stack([labels[name] for name in (*recipe.classes, *recipe.joint)])
        digest.update(named.short().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
