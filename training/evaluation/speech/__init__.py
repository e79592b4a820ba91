"""Judging models of speech: who is heard in each code, and what is said in a swap."""

from training.evaluation.speech.figures import draw
from training.evaluation.speech.protocol import evaluate, librispeech, timit

__all__ = ["draw", "evaluate", "librispeech", "timit"]
