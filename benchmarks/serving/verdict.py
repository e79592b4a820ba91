"""What was found against what it is bound by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One bound: what it is about, what was measured and what may be, as they are printed, and whether it holds."""

    what: str
    measured: str
    bound: str
    holds: bool


def shown(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def at_most(what: str, measured: float, bound: float, unit: str = "") -> Verdict:
    """A bound from above; what is not a number does not hold."""
    return Verdict(what, f"{shown(measured)}{unit}", f"≤ {shown(bound)}{unit}", measured <= bound)


def at_least(what: str, measured: float, bound: float, unit: str = "") -> Verdict:
    """A bound from below; what is not a number does not hold."""
    return Verdict(what, f"{shown(measured)}{unit}", f"≥ {shown(bound)}{unit}", measured >= bound)


def none_of(what: str, found: Sequence[object]) -> Verdict:
    """Something that must not be; the first few that are there are told."""
    return Verdict(what, "none" if not found else "; ".join(map(str, found[:3])), "none", not found)


def table(verdicts: Sequence[Verdict]) -> str:
    """Verdicts as Markdown."""
    rows = [f"| {v.what} | {v.measured} | {v.bound} | {'holds' if v.holds else '**FAILS**'} |" for v in verdicts]
    return "\n".join(["| bound | measured | allowed | verdict |", "|---|---|---|---|", *rows])
