"""Lists the datasets: what each needs, where that comes from, its licence, and whether it is there and intact.

A dataset that is missing, or differs from what was published, has to be fetched as its lines say.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from training import preset
from training.datasets.catalogue import DATASETS, Name
from training.datasets.errors import DataError


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.datasets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.datasets ../shared/data",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("../shared/data"),
        help="holds a folder for each dataset, such as sprites and mnist (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    presets: dict[Name, list[str]] = {name: [] for name in DATASETS}
    for each in preset.names():
        presets[preset.load(each).dataset].append(each)
    for name in DATASETS:
        print(entry(name, given.folder, presets[name]))
    return 0


def entry(name: Name, root: Path, presets: list[str]) -> str:
    """The lines on one dataset, which lies in its own folder in `root`."""
    dataset = DATASETS[name]
    source, folder = dataset.source, root / dataset.source.folder
    try:
        needs, state = "needs", source.check(folder)
    except DataError as error:
        needs, state = "fetch", str(error) if folder.is_dir() else f"missing: there is no {folder}"
    data = str(folder) if source.folder else "<data>"
    unit = " bins" if len(dataset.frame_shape) == 1 else ""
    option = f" --data {data}" if "<data>" in source.needs else ""
    rows = {
        name: f"frames of {'×'.join(map(str, dataset.frame_shape))}{unit}, {state}",
        f"  {needs}": source.needs.replace("<data>", data),
        "  from": source.origin,
        "  licence": source.licence,
        "  presets": ", ".join(presets),
        "  train": f"python -m training.train --preset <preset>{option}",
    }
    wrapper = textwrap.TextWrapper(110, subsequent_indent=" " * 15, break_long_words=False, break_on_hyphens=False)
    return "".join(wrapper.fill(f"{label:<15}{text}") + "\n" for label, text in rows.items())


if __name__ == "__main__":
    sys.exit(main())
