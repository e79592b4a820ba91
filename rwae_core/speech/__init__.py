"""Speech as a spectrum and back: `analyse` a wave, `synthesise` one; training and service share both.

Shapes: B clips of N samples in [−1, 1], T = ⌈N / hop⌉ columns of K bins in [0, 1]. All of a clip is done at once: the
windows of 20 columns that a model was trained on are slices of one spectrum, so a wave has no borders between them.
"""

from rwae_core.speech.spectrum import SpectrumConfig, analyse
from rwae_core.speech.synthesis import as_loud_as, synthesise

__all__ = ["SpectrumConfig", "analyse", "as_loud_as", "synthesise"]
