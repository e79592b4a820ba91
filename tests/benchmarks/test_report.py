"""Tables, their comparison with what was committed, their place in the README, and the command that makes them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import machine, report
from benchmarks.report import README, between
from benchmarks.section import Section
from benchmarks.serving.verdict import at_most

HERE = {"device": "this", "threads": 2, "torch": "2"}
SECTION = Section({"a": {"GFLOP": 1234.5, "s": 0.5}, "b": {"GFLOP": 3.0}}, "s")


def test_tables_show_what_there_is() -> None:
    assert SECTION.markdown(HERE, None).splitlines() == [
        "this, 2 threads, torch 2.",
        "",
        "|  | GFLOP | s |",
        "|---|---:|---:|",
        "| a | 1,234 | 0.5 |",
        "| b | 3 | – |",
    ]


def test_ratios_are_to_the_last_results() -> None:
    last = {"machine": HERE, "rows": {"a": {"s": 0.25}, "gone": {"s": 1.0}}}
    shown = SECTION.markdown(HERE, last)
    assert "| a | 1,234 | 0.5 | 2 |" in shown
    assert "| b | 3 | – | – |" in shown
    assert "another machine" not in shown


def test_another_machine_is_named() -> None:
    last = {"machine": {**HERE, "device": "that"}, "rows": {"a": {"s": 0.25}}}
    assert "another machine, that," in SECTION.markdown(HERE, last)


def test_results_of_another_form_are_not_compared() -> None:
    assert "× last" not in SECTION.markdown(HERE, {"machine": HERE, "median_ms": {"a": 1}})


def test_results_are_written_as_they_are_read() -> None:
    written = json.loads(json.dumps(Section({"a": {"s": 1 / 3}}, "s", [at_most("x", 1, 2)]).as_json(HERE)))
    assert written["rows"] == {"a": {"s": 0.3333}}
    assert written["verdicts"] == [{"what": "x", "measured": "1", "bound": "≤ 2", "holds": True}]
    assert "| a | 0.333 | 1 |" in Section({"a": {"s": 0.3333}}, "s").markdown(HERE, written)


PAGE = "before\n\n<!-- make bench: a -->\nold\n<!-- end: a -->\n\nafter <!-- make bench: b -->\n<!-- end: b -->\n"


def test_what_stands_around_the_marks_stays() -> None:
    page = between(PAGE, "a", r"new \1")
    assert page == PAGE.replace("\nold\n", "\n\nnew \\1\n\n")
    assert between(page, "a", r"new \1") == page


def test_marks_have_to_be_there_once() -> None:
    for page in ("", PAGE + PAGE):
        with pytest.raises(ValueError, match="make bench: a"):
            between(page, "a", "new")


def test_the_readme_has_a_place_for_every_part() -> None:
    marks = re.findall("<!-- make bench: (.+) -->", README.read_text())
    assert sorted(marks) == sorted(name for name, _ in command.PARTS)


def test_the_last_results_are_those_of_the_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert report.committed("a") is None  # no repository
    told = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "a.json").write_text('{"rows": 1}')
    for arguments in (["init"], ["add", "a.json"], ["commit", "-m", "a"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607
    (tmp_path / "a.json").write_text('{"rows": 2}')
    assert report.committed("a") == {"rows": 1}
    assert report.committed("b") is None


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two parts, of which one has a bound that fails; the folder that they write into."""
    readme = tmp_path / "README.md"
    readme.write_text(PAGE)
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(report.publish, "__defaults__", (readme,))
    failing = Section({"x": {"s": 2.0}}, "s", [at_most("x", 2, 1)])
    monkeypatch.setattr(command, "PARTS", [("a", lambda: SECTION), ("b", lambda: failing)])
    return tmp_path


def test_a_bound_that_fails_exits_with_1(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["a"]) == 0
    assert not (parts / "b.json").exists()
    assert command.main([]) == 1
    assert "**FAILS**" in capsys.readouterr().out
    assert "**FAILS**" in (parts / "README.md").read_text()
    assert json.loads((parts / "b.json").read_text())["machine"]["cpus"] > 0


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        command.main(["--help"])
    told = capsys.readouterr().out
    for name, measure in command.PARTS:
        assert re.search(rf"^  {name} +\w", told, re.MULTILINE), name
        assert measure.__doc__
    assert "benchmarks.serving" in told


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["speed"])
    assert "ceilings" in capsys.readouterr().err
