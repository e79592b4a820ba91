"""What several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rwae_client.calls import Fit, Format

WHO = "Who answers"
LOOK = "What comes out"

Url = Annotated[
    str | None,
    typer.Option(envvar="RWAE_URL", help="Ask the service at this address.", rich_help_panel=WHO, metavar="URL"),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="RWAE_API_KEY", show_envvar=True, help="The service's key.", rich_help_panel=WHO, metavar="KEY"
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        envvar="RWAE_WEIGHTS_DIR",
        help="Folder of models for this process; `weights` where absent.",
        rich_help_panel=WHO,
        metavar="FOLDER",
    ),
]
ModelName = Annotated[
    str | None, typer.Option("--model", "-m", help="One of `rwae models`; by default the one for what the clip is.")
]
FitOption = Annotated[Fit | None, typer.Option(help="How frames become square: `crop` unless told otherwise.")]
Out = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="A file, whose ending says the format; a folder, with a slash at its end, for many results; `-` for "
        "standard output.",
        metavar="PATH",
    ),
]
FormatOption = Annotated[
    Format | None, typer.Option(help="Format of media where the file's ending does not say it.", rich_help_panel=LOOK)
]
Fps = Annotated[float | None, typer.Option(help="Frames a second.", rich_help_panel=LOOK)]
Scale = Annotated[
    int | None, typer.Option(help="Enlarge by whole pixels, 1 to 16.", min=1, max=16, rich_help_panel=LOOK)
]
Seed = Annotated[int | None, typer.Option(min=0, help="Decides what is drawn; another one each time where absent.")]
