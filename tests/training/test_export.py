"""The figures of an evaluation that go into a weights folder."""

from training.evaluation.findings import Evaluation, Section, Value
from training.export import chosen_metrics


def metrics(dataset: str, *sections: Section) -> dict[str, float]:
    return chosen_metrics(Evaluation("run", "R-WAE", dataset, 10, 0, 1, {}, sections).as_json())


def test_of_video_the_swap_errors_and_what_was_generated() -> None:
    found = metrics(
        "human-actions",
        Section("reconstruction", "", {"psnr_db": Value(31.234), "squared_error": Value(5.0)}),
        Section("swap", "", {"action": Value(1.23456, 0.1)}),
        Section("generation", "", {"accuracy": Value(88.6, 1.0), "fid": Value(12.2), "entropy": Value(1.0)}),
    )
    assert found == {
        "psnr_db": 31.23,
        "swap_action_error": 1.235,
        "generated_accuracy": 88.6,
        "generated_fid": 12.2,
    }


def test_of_speech_who_is_heard_in_each_code_and_in_swaps() -> None:
    verification = Section(
        "verification", "", {"static_eer": Value(4.5), "dynamic_eer": Value(36.0), "gap": Value(31.5)}
    )
    companions = Section("companions", "", {"lsd_db": Value(6.789), "motion_nats": Value(100.0)})
    swap = Section("swap", "", {"content_voice": Value(81.5), "motion_words": Value(70.0), "mcd_motion_db": Value(5.0)})
    assert metrics("librispeech", verification, companions, swap) == {
        "static_eer": 4.5,
        "dynamic_eer": 36.0,
        "lsd_db": 6.79,
        "content_voice": 81.5,
        "motion_words": 70,
    }
    # Without a judge that may judge there is no swap to speak of.
    assert metrics("timit", verification) == {"static_eer": 4.5, "dynamic_eer": 36.0}
