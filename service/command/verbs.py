"""The commands: each says what it takes, asks, and writes what it was answered."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from rwae_client import AsyncClient, Clip, Encoding, ProblemError
from service.command.asking import Meter, Where
from service.command.failure import FAILED, CommandError, code_of, told
from service.command.inputs import STANDARD, Input, codes_of, inputs, like
from service.command.options import (
    ApiKey,
    FitOption,
    FormatOption,
    Fps,
    ModelName,
    Out,
    Scale,
    Seed,
    Url,
    Weights,
)
from service.command.output import Output, suffix_of

EXIT_CODES = (
    "Exit codes: 0 done; 1 the input is at fault, or a file cannot be read or written; 2 wrong usage; "
    "3 the service cannot be reached, is too busy or too slow: try again later; 130 interrupted."
)

app = typer.Typer(
    name="rwae",
    help="Pulls clips apart into what they are and what they do, and puts them together again. The models of the "
    "folder `weights` answer within this process, or a service elsewhere does: `--url`.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*lines: str) -> str:
    """An epilog: a line for each command, which the tests run as they stand."""
    return "**Examples**\n\n" + "\n\n".join(f"`{line}`" for line in lines)


@app.command(
    epilog=_examples(
        "rwae serve",
        "RWAE_THREADS=2 RWAE_API_KEYS=secret rwae serve --port 9000 --weights weights",
    )
)
def serve(
    host: Annotated[str | None, typer.Option(envvar="RWAE_HOST", help="Address to listen on; `127.0.0.1`.")] = None,
    port: Annotated[int | None, typer.Option(envvar="RWAE_PORT", help="`8000`; 0 picks a free one.")] = None,
    weights: Weights = None,
) -> None:
    """Serve the models over HTTP, with a web page; other settings come from the environment, `RWAE_…`."""
    with told():
        try:
            from service.start import StartError, start  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise CommandError(f"Serving needs '{error.name}': pip install 'rwae[serve]'.") from error
        given = {"host": host, "port": port, "weights_dir": weights}
        try:
            start(**{name: value for name, value in given.items() if value is not None})
        except StartError as error:
            raise CommandError(str(error)) from error


@app.command(epilog=_examples("rwae models", "rwae models --json", "rwae models --url http://localhost:8000"))
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known of them, for programs.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """List the models."""

    async def work(client: AsyncClient, meter: Meter) -> str | Table:
        found = await client.models()
        if as_json:
            return json.dumps([asdict(model) for model in found])
        table = Table("model", "reads", "z^c", "z^m", "actions", "what it is", box=None)
        for model in found:
            name = f"{model.id} (default)" if model.default else model.id
            sizes = map(str, (model.content_dim, model.motion_dim, model.actions))
            table.add_row(name, model.modality, *sizes, model.card)
        return table

    answer = Where(url, api_key, weights).ask(work)
    if isinstance(answer, str):
        typer.echo(answer)
    else:
        Console().print(answer)


@app.command(
    epilog=_examples(
        "rwae encode examples/walk.mp4 -o walk.json",
        "rwae encode 'examples/*.mp4' -o codes/",
        "cat examples/voice_a.wav | rwae encode - > voice.json",
        "rwae encode examples/walk.mp4 --sample --seed 7 -o drawn.json",
    )
)
def encode(
    clips: Annotated[list[str], typer.Argument(metavar="CLIP…", help="Videos and sounds; `-` for standard input.")],
    *,
    output: Out = STANDARD,
    model: ModelName = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw the codes, instead of giving their means.")] = False,
    seed: Seed = None,
    fit: FitOption = None,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """Tell the codes of clips, as JSON: what each is (z_c), and what it does in each frame (z_m).

    Of several clips, a line each, or a file each where -o is a folder. A clip that is at fault is told, and the others
    are done.
    """

    async def work(client: AsyncClient, meter: Meter) -> list[str]:
        async def one(clip: Input) -> str | None:
            """What went wrong, if anything did."""
            try:
                codes = await client.encode(clip.data, model=model, sample=sample, seed=seed, fit=fit)
            except ProblemError as error:
                if len(read) == 1 or code_of(error) != FAILED:
                    raise
                return f"{clip.path}: {error}"
            found[clip.path] = codes
            return None

        found: dict[str, Encoding] = {}
        wrong = await meter.each("Encoding", read, one)
        for clip in read:
            if clip.path in found:
                out.write((json.dumps(asdict(found[clip.path])) + "\n").encode(), clip.name, "json")
        return [each for each in wrong if each]

    with told():
        read, out = inputs(clips), Output(output)
        out.check(len(read), binary=False)
    if wrong := Where(url, api_key, weights).ask(work):
        for each in wrong:
            typer.echo(f"error: {each}", err=True)
        raise typer.Exit(FAILED)


@app.command(
    epilog=_examples(
        "rwae decode walk.json -o again.gif",
        "rwae encode examples/walk.mp4 | rwae decode - -o again.mp4",
    )
)
def decode(
    codes: Annotated[list[str], typer.Argument(metavar="CODES…", help="What `rwae encode` wrote; `-` for stdin.")],
    *,
    output: Out = STANDARD,
    model: ModelName = None,
    format: FormatOption = None,  # noqa: A002
    fps: Fps = None,
    scale: Scale = None,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """Make clips of codes."""

    async def work(client: AsyncClient, meter: Meter) -> None:
        async def one(given: Input) -> None:
            told = given.codes()
            rate = fps or told.fps
            clip = await client.decode(told, model=model, format=out.format(), fps=rate, scale=scale)
            out.write(clip.data, given.name, suffix_of(clip.media_type))

        await meter.each("Decoding", read, one)

    with told():
        read, out = inputs(codes), Output(output, format)
        out.check(len(read), binary=True)
        out.format()
    Where(url, api_key, weights).ask(work)


@app.command(
    epilog=_examples(
        "rwae swap examples/walk.mp4 examples/spellcard.mp4 -o out.mp4 --scale 4",
        "rwae swap examples/walk.mp4 examples/spellcard.mp4 -o out.gif --both",
        "rwae swap examples/walk.mp4 examples/spellcard.mp4 -o grid.mp4 --grid",
        "rwae swap examples/voice_a.wav examples/voice_b.wav -o voice.wav",
        "rwae swap examples/walk.mp4 examples/*.mp4 -o swaps/",
        "cat examples/walk.mp4 | rwae swap - examples/spellcard.mp4 > out.mp4",
    )
)
def swap(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The clip that says who or what; `-` for stdin.")],
    motion: Annotated[list[str], typer.Argument(metavar="MOTION…", help="The clips that say what is done or said.")],
    *,
    output: Out = STANDARD,
    both: Annotated[
        bool, typer.Option("--both", help="The other direction too: `out.mp4` and `out-back.mp4`.")
    ] = False,
    grid: Annotated[
        bool,
        typer.Option("--grid", help="One film of all clips with all: a row keeps who, a column what; videos only."),
    ] = False,
    model: ModelName = None,
    fit: FitOption = None,
    format: FormatOption = None,  # noqa: A002
    fps: Fps = None,
    scale: Scale = None,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """Make what one clip shows do what happens in another; make one voice say the other's words."""

    async def work(client: AsyncClient, meter: Meter) -> None:
        async def one(pair: tuple[Input, Input, Output]) -> None:
            kept, moved, to = pair
            clip = await client.swap(
                kept.data, moved.data, model=model, fit=fit, format=out.format(), fps=fps, scale=scale
            )
            to.write(clip.data, f"{kept.name}-{moved.name}", suffix_of(clip.media_type))

        pairs = [(first, other, out) for other in others]
        if both:
            pairs += [(other, first, out.beside("back")) for other in others]
        await meter.each("Swapping", pairs, one)

    async def table(client: AsyncClient, meter: Meter) -> None:
        codes = await meter.each(
            "Encoding", [first, *others], lambda clip: codes_of(client, clip, model=model, fit=fit)
        )
        pairs = [like(moved, replace(moved, z_c=kept.z_c)) for kept, moved in itertools.product(codes, repeat=2)]
        out.write(
            await _film(client, meter, pairs, columns=len(codes), out=out, fps=fps, scale=scale),
            "grid",
            out.format() or "mp4",
        )

    with told():
        (first, *others), out = inputs([content, *motion]), Output(output, format)
        if both and output == STANDARD:
            raise typer.BadParameter("Two clips do not go into one pipe: give -o.", param_hint="--both")
        out.check(1 if grid else len(others), binary=True)
        out.format()
    Where(url, api_key, weights).ask(table if grid else work)


@app.command(
    epilog=_examples(
        "rwae generate -n 16 --frames 100 --seed 7 -o grid.mp4",
        "rwae generate --seed 1 -o one.gif --scale 4",
        "rwae generate -n 4 --content examples/walk.mp4 --seed 2 -o same-character.mp4",
        "rwae generate -n 4 --motion examples/spellcard.mp4 --seed 2 -o same-motion.mp4",
        "rwae generate --model librispeech --frames 100 --seed 7 -o babble.wav",
    )
)
def generate(
    *,
    n: Annotated[int, typer.Option("-n", min=1, help="How many clips: one film in a grid.")] = 1,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of each; the model's own where absent.")] = None,
    seed: Seed = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=10, help="Less is tamer, more is wilder; 1.")] = None,
    content: Annotated[
        str | None, typer.Option(metavar="CLIP", help="Keep what this clip (or these codes) shows.")
    ] = None,
    motion: Annotated[
        str | None, typer.Option(metavar="CLIP", help="Keep what happens in this clip, and go on from there.")
    ] = None,
    action: Annotated[int | None, typer.Option(min=0, help="Number of the action, of models that have any.")] = None,
    output: Out = STANDARD,
    model: ModelName = None,
    format: FormatOption = None,  # noqa: A002
    fps: Fps = None,
    scale: Scale = None,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """Make new clips."""

    async def work(client: AsyncClient, meter: Meter) -> Clip:
        meter.say("Generating")
        kept = [await codes_of(client, given, model=model) if given else None for given in (shown, moved)]
        named = model or next((codes.model for codes in kept if codes), None)
        clip = await client.generate(
            n=n,
            frames=frames,
            seed=seed,
            temperature=temperature,
            z_c=kept[0].z_c if kept[0] else None,
            z_m=kept[1].z_m if kept[1] else None,
            action=action,
            model=named,
            format=out.format(),
            fps=fps,
            scale=scale,
        )
        out.write(clip.data, f"generated-{clip.seed}", suffix_of(clip.media_type))
        return clip

    with told():
        out = Output(output, format)
        out.check(1, binary=True)
        out.format()
        shown, moved = (inputs([path])[0] if path else None for path in (content, motion))
    made = Where(url, api_key, weights).ask(work)
    if seed is None:
        typer.echo(f"seed {made.seed}", err=True)


@app.command(
    epilog=_examples(
        "rwae interpolate examples/walk.mp4 examples/spellcard.mp4 -o between.mp4 --scale 2",
        "rwae interpolate examples/walk.mp4 examples/spellcard.mp4 --vary motion --steps 5 -o motions.gif",
        "rwae interpolate examples/voice_a.wav examples/voice_b.wav --steps 3 -o voices/",
    )
)
def interpolate(
    start: Annotated[str, typer.Argument(metavar="A", help="A clip, or codes; `-` for standard input.")],
    end: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    *,
    output: Out = STANDARD,
    vary: Annotated[
        Literal["content", "motion", "both"], typer.Option(help="Which code goes from A's to B's; the other stays A's.")
    ] = "content",
    steps: Annotated[int, typer.Option(min=2, max=64, help="Clips, the first A, the last B.")] = 8,
    model: ModelName = None,
    fit: FitOption = None,
    format: FormatOption = None,  # noqa: A002
    fps: Fps = None,
    scale: Scale = None,
    url: Url = None,
    api_key: ApiKey = None,
    weights: Weights = None,
) -> None:
    """Go from one clip to another in steps: side by side in one film, or each a file of its own in a folder."""

    async def work(client: AsyncClient, meter: Meter) -> None:
        codes = await meter.each("Encoding", (a, b), lambda each: codes_of(client, each, model=model, fit=fit))
        first, last = codes
        if first.model != last.model:
            raise CommandError(
                f"{a.path} is for the model '{first.model}' and {b.path} for '{last.model}': give two for one."
            )
        shares = [step / (steps - 1) for step in range(steps)]
        between = [
            like(
                first,
                first.mixed(last, content=share * (vary != "motion"), motion=share * (vary != "content")),
            )
            for share in shares
        ]
        if not out.is_folder:
            out.write(await _film(client, meter, between, columns=steps, out=out, fps=fps, scale=scale), "", "")
            return

        async def one(step: int) -> None:
            codes = between[step]
            clip = await client.decode(codes, format=out.format(), fps=fps or codes.fps, scale=scale)
            out.write(clip.data, f"step-{step + 1:02d}", suffix_of(clip.media_type))

        await meter.each("Decoding", range(steps), one)

    with told():
        (a, b), out = inputs([start, end]), Output(output, format)
        out.check(1, binary=True)
        out.format()
    Where(url, api_key, weights).ask(work)


async def _film(
    client: AsyncClient,
    meter: Meter,
    codes: list[Encoding],
    *,
    columns: int,
    out: Output,
    fps: float | None,
    scale: int | None,
) -> bytes:
    """The clips of codes in rows of so many."""
    from service.command.film import side_by_side  # noqa: PLC0415  FFmpeg takes a while to load, and few want it

    if codes[0].modality == "audio":
        raise CommandError("Sounds do not go side by side into one film: give a folder, with a slash at its end.")
    clips = await meter.each("Decoding", codes, lambda each: client.decode(each, format="apng"))
    rows = [clips[start : start + columns] for start in range(0, len(clips), columns)]
    try:
        return side_by_side(rows, fps or codes[0].fps or 8.0, out.format(), scale or 1)
    except ValueError as error:
        raise CommandError(f"The film would be too large: {error}") from error
