"""Evaluations of several models as tables: a row a model, and below the models what others print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.datasets.catalogue import DATASETS
from training.evaluation.findings import Evaluation, Section, Value
from training.evaluation.printed import PRINTED

COLUMNS = {
    "psnr_db": "PSNR, dB",
    "squared_error": "squared error",
    "content_nats": "z^c, nats",
    "motion_nats": "z^m, nats",
    "inception_score": "IS",
    "entropy_given_clip": "H(y|x)",
    "entropy": "H(y)",
    "fid": "FID",
    "static_eer": "static EER, %",
    "dynamic_eer": "dynamic EER, %",
    "lsd_db": "LSD, dB",
    "content_voice": "A's voice, %",
    "reconstructed_voice": "own voice of reconstructions, %",
    "motion_words": "B's words, %",
    "motion_words_centred": "B's words, centred, %",
    "mcd_motion_db": "MCD to B, dB",
    "mcd_content_db": "MCD to A, dB",
    "mcd_motion_centred_db": "MCD to B, centred, dB",
    "mcd_content_centred_db": "MCD to A, centred, dB",
}
"""What figures are called above a column, where it is not their name with blanks."""


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, then a cell for each column.

    Attributes:
        name: Model or method.
        cells: As many as the table has columns; empty where nothing is known.
        printed: Whether others print it, and it was not measured here.
    """

    name: str
    cells: tuple[str, ...]
    printed: bool = False


@dataclass(frozen=True)
class Table:
    """One protocol on one dataset.

    Attributes:
        dataset: Name of the dataset in the catalogue; the tables of one dataset follow each other.
        title: What is kept, what is drawn, in which units.
        note: Sizes, seeds, the judge: what has to be known beside the figures, as plain text; may be empty.
        columns: Above the cells; the rows' names have no column.
        rows: Models first, then what others print.
        number: Number of the paper's table that it reproduces, where it does.
    """

    dataset: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    number: int | None = None


def tables(evaluations: Sequence[Evaluation], beside: Sequence[Evaluation] = ()) -> list[Table]:
    """The tables of all evaluations, dataset by dataset, with one on the judge before those that need it.

    Args:
        evaluations: What was found now.
        beside: What was found before of other models.
    """
    found = []
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in (*evaluations, *beside)):
        models = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        known = {model.model for model in models}
        before = [other for other in beside if other.dataset == dataset and other.model not in known]
        if judge := next((model.judge for model in (*models, *before) if model.judge and model.sections), None):
            title = "The judge on real test clips, accuracy %"
            row = Row("judge", tuple(f"{right:.2f}" for right in judge.values()))
            found.append(Table(dataset, title, _draws([*models, *before]), tuple(map(_title, judge)), (row,)))
        for name in dict.fromkeys(section.name for model in (*models, *before) for section in model.sections):
            found.append(_table(dataset, name, models, before))
    return found


def markdown(shown: Sequence[Table]) -> str:
    """Tables as Markdown, under a heading for each dataset."""
    lines = []
    for table, before in zip(shown, (None, *shown), strict=False):
        if before is None or before.dataset != table.dataset:
            title = next((source.source.title for name, source in DATASETS.items() if name == table.dataset), "")
            lines += [f"## {title or table.dataset}", ""]
        number = "" if table.number is None else f" (Table {table.number})"
        lines += [f"**{table.title}**{number}", "", _line("", table.columns)]
        lines.append("|---" * (1 + len(table.columns)) + "|")
        for row in table.rows:
            name = f"*{row.name}, as printed*" if row.printed else row.name
            lines.append(_line(name, row.cells))
        lines += ["", *([table.note, ""] if table.note else [])]
    return "\n".join(lines)


def _table(dataset: str, name: str, models: Sequence[Evaluation], before: Sequence[Evaluation]) -> Table:
    """One section of all models that have it."""
    have = [(model, section) for model in (*models, *before) if (section := model.section(name)) is not None]
    columns = tuple(dict.fromkeys(column for _, section in have for column in section.values))
    rows = []
    for model, section in have:
        cells = tuple(_cell(section.values.get(column)) for column in columns)
        rows.append(Row(model.model if model in models else f"{model.model}, measured before", cells))
    for method, figures in PRINTED.get(dataset, {}).get(name, {}).items():
        cells = tuple(f"{figures[column]:g}" if column in figures else "" for column in columns)
        rows.append(Row(method, cells, printed=True))
    first = have[0][1]
    return Table(dataset, first.title, _note(have), tuple(map(_title, columns)), tuple(rows), first.table)


def _note(have: Sequence[tuple[Evaluation, Section]]) -> str:
    """What the sections say, once where all say the same."""
    notes = {model.model: section.note for model, section in have if section.note}
    if len(set(notes.values())) == 1:
        return next(iter(notes.values()))
    return " ".join(f"{model}: {note}" for model, note in notes.items())


def _draws(models: Sequence[Evaluation]) -> str:
    repeats, seeds = (
        " or ".join(str(number) for number in sorted(set(numbers)))
        for numbers in ([model.repeats for model in models], [model.seed for model in models])
    )
    return f"What is drawn: mean ± standard deviation over {repeats} repeats, with seeds from {seeds}."


def _title(column: str) -> str:
    return COLUMNS.get(column) or column.replace("z_c", "z^c").replace("z_m", "z^m").replace("_", " ")


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in (name, *cells))} |"


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    return f"{value.mean:.3f}" if value.std is None else f"{value.mean:.3f} ± {value.std:.3f}"
