"""Tables put models side by side with what others print, and say what has to be known beside the figures."""

from training.evaluation.findings import Evaluation, Section, Value
from training.evaluation.printed import PRINTED
from training.evaluation.show import markdown, tables


def found(model: str, dataset: str = "sprites", *sections: Section, repeats: int = 5) -> Evaluation:
    return Evaluation(model, "R-WAE", dataset, 300, 0, repeats, {"action": 99.962, "body": 100.0}, sections)


KEPT = Section("protocol_1", "Kept", {"action": Value(1.5, 0.25), "body": Value(0.125, 0.0)}, 2, "300 clips.")
SCORES = Section(
    "protocol_3", "Scores", {"action_accuracy": Value(99.0), "entropy_given_clip": Value(0.5)}, note="One."
)


def test_a_row_a_model_and_the_papers_below() -> None:
    other = Section("protocol_1", "Kept", {"action": Value(2.0, 1.0), "hair": Value(3.0, 0.5)}, 2, "300 clips.")
    judge, kept, scores = tables([found("a", "sprites", KEPT, SCORES), found("b", "sprites", other)])
    assert (judge.rows[0].cells, judge.columns) == (("99.96", "100.00"), ("action", "body"))
    assert "5 repeats, with seeds from 0" in judge.note
    assert (kept.title, kept.number, kept.note) == ("Kept", 2, "300 clips.")
    assert kept.columns == ("action", "body", "hair")
    assert [row.name for row in kept.rows[:2]] == ["a", "b"]
    assert kept.rows[0].cells == ("1.500 ± 0.250", "0.125 ± 0.000", "")
    assert kept.rows[1].cells == ("2.000 ± 1.000", "", "3.000 ± 0.500")
    printed = {row.name: row.cells for row in kept.rows if row.printed}
    assert printed["R-WAE(GAN) (S)"] == ("3.73", "2", "")
    assert printed.keys() == PRINTED["sprites"]["protocol_1"].keys()
    assert scores.rows[0].cells == ("99.000", "0.500")
    assert scores.columns == ("action accuracy", "H(y|x)")


def test_each_dataset_has_its_own_tables_in_the_order_of_the_models() -> None:
    digit = Section("kept_content", "Digit", {"digit": Value(1.0)}, 2)
    shown = tables([found("a", "sm-mnist", digit), found("b", "sprites", KEPT), found("c", "sm-mnist", digit)])
    assert [table.dataset for table in shown] == ["sm-mnist"] * 2 + ["sprites"] * 2
    assert [row.name for row in shown[1].rows if not row.printed] == ["a", "c"]
    text = markdown(shown)
    assert text.count("## SM-MNIST") == text.count("## Sprites") == 1
    assert text.index("SM-MNIST") < text.index("Sprites")


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    text = markdown(tables([found("a|b", "sprites", KEPT, SCORES)]))
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for lines in blocks:
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    assert r"H(y\|x)" in text
    assert r"a\|b" in text
    assert "*R-WAE(GAN) (S), as printed*" in text


def test_notes_that_differ_are_told_apart() -> None:
    other = Section("protocol_1", "Kept", {"action": Value(2.0, 1.0)}, 2, "20 clips.")
    _, kept, _ = tables([found("a", "sprites", KEPT, SCORES), found("b", "sprites", other)])
    assert kept.note == "a: 300 clips. b: 20 clips."


def test_pictures_alone_have_no_tables() -> None:
    assert tables([found("a")]) == []
    assert markdown([]) == ""


def test_what_was_measured_before_stands_below_the_models_and_above_the_paper() -> None:
    other = Section("protocol_1", "Kept", {"action": Value(9.0, 1.0), "hair": Value(3.0)}, 2, "300 clips.")
    beside = [found("a", "sprites", other), found("rival", "sprites", other), found("digits", "sm-mnist", other)]
    again = [Evaluation.from_json(each.as_json()) for each in beside]
    assert again == beside
    _, kept, _, digits = tables([found("a", "sprites", KEPT)], again)
    assert [row.name for row in kept.rows[:2]] == ["a", "rival, measured before"], "a is here itself"
    assert kept.columns == ("action", "body", "hair")
    assert kept.rows[1].cells == ("9.000 ± 1.000", "", "3.000"), "body it has not"
    assert all(row.printed for row in kept.rows[2:])
    assert (digits.dataset, [row.name for row in digits.rows]) == ("sm-mnist", ["digits, measured before"])
