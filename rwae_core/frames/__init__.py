"""Frame networks: one interface, frames to features and features to frames.

An encoder maps (N, *frame) in [0, 1] to (N, F); a decoder maps (N, F) to (N, *frame), in [0, 1] outside of training.
A decoder's `output_bias` is its last bias: the frame on which all features are 0, before the sigmoid.
"""

from __future__ import annotations

from rwae_core.config import ComplexFrames, FrameNetworks, SimpleFrames, SpectrumFrames, TFGANFrames
from rwae_core.frames.complex import ComplexDecoder, ComplexEncoder
from rwae_core.frames.simple import SimpleDecoder, SimpleEncoder
from rwae_core.frames.spectrum import SpectrumDecoder, SpectrumEncoder
from rwae_core.frames.tfgan import TFGANDecoder, TFGANEncoder

FrameEncoder = SimpleEncoder | ComplexEncoder | TFGANEncoder | SpectrumEncoder
FrameDecoder = SimpleDecoder | ComplexDecoder | TFGANDecoder | SpectrumDecoder


def frame_encoder(networks: FrameNetworks, features: int) -> FrameEncoder:
    """The encoder of these networks, from frames to `features` numbers."""
    match networks:
        case SimpleFrames():
            return SimpleEncoder(networks, features)
        case ComplexFrames():
            return ComplexEncoder(networks, features)
        case TFGANFrames():
            return TFGANEncoder(networks, features)
        case SpectrumFrames():
            return SpectrumEncoder(networks, features)


def frame_decoder(networks: FrameNetworks, features: int) -> FrameDecoder:
    """The decoder of these networks, from `features` numbers to frames."""
    match networks:
        case SimpleFrames():
            return SimpleDecoder(networks, features)
        case ComplexFrames():
            return ComplexDecoder(networks, features)
        case TFGANFrames():
            return TFGANDecoder(networks, features)
        case SpectrumFrames():
            return SpectrumDecoder(networks, features)
