"""Makes a weights folder of a run: safetensors, configuration and model card.

Run `training.evaluate` on the run first: its figures go into the card.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rwae_core.model import RWAE
from rwae_core.weights import save_weights
from training.checkpoint import load, load_model
from training.datasets.catalogue import DATASETS, Name

CARD = """# {name}

{about}.

Takes a clip with frames of {frame} apart into a static code z^c ({content_dim} numbers: what it is) and a dynamic code
z^m ({motion_dim} numbers a frame: what it does).

- **Data**: {data}
- **Trained with** `python -m training.train --preset {preset}{option} --seed {seed} --out runs/{preset}`:
  {iterations} iterations of {batch} clips.
- **Precision**: stored as float16, the averaged weights of the run, computed in float32.

{figures}
## Limits

{limits}
"""
DATA: dict[Name, str] = {
    "sprites": """Sprites, 1000 characters × 9 actions × 8 frames (900 characters trained on, 100 held out for choosing,
  the 296 others for the figures below), composed from the layers of the Liberated Pixel Cup as used by Li & Mandt 2018
  (github.com/YingzhenLi/Sprites). The art is by the Liberated Pixel Cup's artists, CC-BY-SA 3.0 and GPL 3.0.""",
    "librispeech": """LibriSpeech (Panayotov et al. 2015), read audio books at 16 kHz, CC BY 4.0 (openslr.org/12): one
  utterance of each of 251 speakers of train-clean-100 (52 minutes; 230 speakers trained on, 21 held out for choosing),
  and of test-other 10 speakers × 10 utterances for the figures below.""",
    "folder": "A folder of clips of one's own. (Say here what they show, and what they may be used for.)",
}
LIMITS: dict[Name, str] = {
    "human-actions": """\
Nine people before one wall, in 48 videos of four actions, are all it has seen: it turns anybody into
one of them doing what they do (`psnr_db` of `/encode` says how well it can say a clip back). Nobody told it which
actions there are, and it found the four that have names. Hands and feet are blurred, and who wears what another one
wears may become that one. New motion of a wave with two hands may be a jack, or hard to tell from one.""",
    "librispeech": """\
Read English by 230 speakers, one voice at a time, close to a microphone, is all it has heard; 16 kHz, spectra of 25 ms.
What it calls content is how an utterance sounds on average: the voice and, as much, microphone, room and noise. Pitch
moves with the motion. Swaps sound muffled, for z^m keeps the shape of each spectrum and not its grain, and music or
several voices at once come out as neither (`lsd_db` of `/encode` says how far off). New speech from the prior is
babble: it has sounds and no words. A voice may be somebody's: put no words into mouths of people who did not agree.""",
    "moving-shapes": """\
Motion rolled out of the recurrent prior may leave the frame, where a shape cannot be told: all that remains of the
static error. It goes on as it went: of roll-outs longer than the 16 frames of a clip, half are outside after 32 and
nine in ten after 64. Some contents drawn from the prior are between two shapes or colours. One of three shapes in one
of five colours on black is all it has seen, and all that it can make an object do is move as a whole.""",
    "sm-mnist": """\
One digit on black is all it has seen, and all that it can make an object do is move as a whole: of what turns, bends
or changes it says a place and an average. Some contents drawn from the prior are strokes that are no digit.""",
    "sprites": """\
The first frame of motion rolled out of the recurrent prior may be a blend of two views, and some characters drawn from
the prior of z^c are ghosts of two. One character on a black background is all it has seen: it turns any other video
into pixel people (`psnr_db` of `/encode` says how well it can say a clip back). Several objects, other backgrounds,
views or outfits, and details finer than the attributes above are outside of what it knows.""",
}
NOT_EVALUATED = "**Not evaluated**: nobody has measured how well its two codes are apart.\n"


def export(run: Path, weights: Path) -> None:
    """Writes the averaged model of a run and its card into a weights folder.

    Figures that `training.evaluate` left in the run go into both; without any, the card says that it was not evaluated.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        ValueError: the run is a baseline's.
    """
    state = load(run)
    if state is None:
        raise FileNotFoundError(f"{run} holds no run; train first")
    chosen = state["run"]["preset"]
    model = load_model(run)
    if type(model) is not RWAE:
        raise ValueError(f"{run} is a run of {type(model).__name__}; only R-WAE is served")
    figures, tables = run / "evaluation.json", run / "evaluation.md"
    metrics = chosen_metrics(json.loads(figures.read_text())) if figures.exists() else {}
    save_weights(weights, model.half(), card=chosen["about"], metrics=metrics, dataset=chosen["dataset"])
    source = DATASETS[chosen["dataset"]].source
    card = CARD.format(
        name=weights.name,
        about=chosen["about"],
        frame="×".join(map(str, model.config.frame_shape)) + ("" if len(model.config.frame_shape) > 1 else " bins"),
        content_dim=model.config.content_dim,
        motion_dim=model.config.motion_dim,
        data=DATA.get(chosen["dataset"], f"{source.title}, from {source.origin}; licence: {source.licence}."),
        preset=chosen["name"],
        option=(f" --data <{chosen['dataset']}>" if "<data>" in source.needs else "")
        + (f" --from {state['run']['from']}" if "from" in state["run"] else ""),
        seed=state["run"]["seed"],
        iterations=state["iteration"],
        batch=chosen["schedule"]["batch"],
        figures=tables.read_text() if figures.exists() else NOT_EVALUATED,
        limits=LIMITS.get(
            chosen["dataset"],
            "What it was not trained on (`psnr_db` of `/encode` says how well it can say a clip back).",
        ),
    )
    (weights / "README.md").write_text(card)


def chosen_metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """The few figures of an `evaluation.json` that say most, under names that say what they are of.

    How well clips are said back, what goes wrong in a swap (%) and, where clips were generated with an action, how
    often it can be seen in them (%) and their FID. Of speech, the error rates of speaker verification (%), and in how
    many swaps voice and words are those that they should be (%).
    """
    found = {section["name"]: section["values"] for section in evaluation["sections"]}
    if "verification" in found:
        columns = {
            "verification": ("static_eer", "dynamic_eer"),
            "companions": ("lsd_db",),
            "swap": ("content_voice", "motion_words", "motion_words_centred"),
        }
        return {
            column: round(found[name][column]["mean"], 2)
            for name, wanted in columns.items()
            for column in wanted
            if column in found.get(name, {})
        }
    metrics = {"psnr_db": round(found["reconstruction"]["psnr_db"]["mean"], 2)} if "reconstruction" in found else {}
    for name, value in found.get("swap", {}).items():
        metrics[f"swap_{name}_error"] = round(value["mean"], 3)
    for name in ("accuracy", "fid"):
        if name in found.get("generation", {}):
            metrics[f"generated_{name}"] = round(found["generation"][name]["mean"], 3)
    return metrics


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.export runs/sprites weights/sprites",
    )
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("weights", type=Path, help="folder to write; its name is the model's id")
    given = parser.parse_args(arguments)
    try:
        export(given.run, given.weights)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {given.weights}; `make serve` serves it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
