"""Frame networks: one interface, frames to features and features to frames.

An encoder maps (N, C, H, W) in [0, 1] to (N, hidden_dim); a decoder maps (N, hidden_dim) to (N, C, H, W) in [0, 1].
"""

from rwae_core.frames.simple import SimpleDecoder, SimpleEncoder

__all__ = ["SimpleDecoder", "SimpleEncoder"]
