"""A section of the results: rows of figures, of which one column is compared with the last, and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.serving.verdict import Verdict, shown, table

Rows = Mapping[str, Mapping[str, float]]
"""Figures by row and column; a row may lack some."""


@dataclass(frozen=True)
class Section:
    """What one benchmark found.

    Attributes:
        rows: What is printed.
        compared: The column that is set beside the last results.
        verdicts: Bounds, where there are any.
        points: What else is kept, and drawn.
    """

    rows: Rows
    compared: str
    verdicts: Sequence[Verdict] = ()
    points: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether all bounds do."""
        return all(verdict.holds for verdict in self.verdicts)

    def as_json(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """What is written."""
        return {"machine": machine, **_rounded(asdict(self))}

    def markdown(self, machine: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
        """The table, what measured it, and the ratios to the last results where there are any.

        Args:
            machine: What measured.
            last: What `as_json` gave the last time.
        """
        ratios = self._ratios(last)
        columns = [*dict.fromkeys(column for row in self.rows.values() for column in row)]
        heads = ["", *columns, *(["× last"] if ratios else [])]
        lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        for name, row in self.rows.items():
            cells = [name, *(_cell(row.get(column)) for column in columns)]
            lines.append(f"| {' | '.join([*cells, *([_cell(ratios.get(name))] if ratios else [])])} |")
        said = [f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}"]
        if ratios and last is not None and last["machine"]["device"] != machine["device"]:
            said.append(f"the last on another machine, {last['machine']['device']}, so that ratios say little")
        return "\n".join([f"{'; '.join(said)}.", "", *lines, *(["", table(self.verdicts)] if self.verdicts else [])])

    def _ratios(self, last: Mapping[str, Any] | None) -> dict[str, float]:
        """The compared column over that of the last results, by row."""
        before = {name: row.get(self.compared) for name, row in (last or {}).get("rows", {}).items()}
        now = {name: row.get(self.compared) for name, row in self.rows.items()}
        return {name: value / was for name, value in now.items() if value and (was := before.get(name))}


def _rounded(value: Any) -> Any:
    """Floats with four digits, wherever they are."""
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _cell(value: float | None) -> str:
    return "–" if value is None else shown(value)
