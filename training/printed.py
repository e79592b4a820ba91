"""What others print, for the rows beside ours: figures, their source, nothing else."""

from __future__ import annotations

SPRITES: dict[str, dict[str, dict[str, float]]] = {
    # Han et al. 2021, Tables 2 and 4, and its slides for pants and tops; S and C are the frame networks.
    "protocol_1": {
        "DS-VAE (S)": {"action": 8.11, "body": 3.98, "bottomwear": 1.82, "topwear": 0.34, "hair": 0.06},
        "R-WAE(MMD) (S)": {"action": 5.83, "body": 2.45, "bottomwear": 1.73, "topwear": 0.32, "hair": 0.06},
        "R-WAE(GAN) (S)": {"action": 3.73, "body": 2.00},
        "DS-VAE (C)": {"action": 10.37, "body": 4.86, "bottomwear": 3.62, "topwear": 0.53},
        "R-WAE(MMD) (C)": {"action": 7.72, "body": 3.31, "bottomwear": 3.20, "topwear": 0.40},
        "R-WAE(GAN) (C)": {"action": 3.13, "body": 3.31},
    },
    # As later papers print them (C-DSVAE, SPYL, SKD), unverified.
    "protocol_3": {
        "DS-VAE": {"action_accuracy": 90.73, "inception_score": 8.384, "entropy_given_clip": 0.072},
        "R-WAE": {"action_accuracy": 98.98, "inception_score": 8.516, "entropy_given_clip": 0.055},
        "C-DSVAE": {"action_accuracy": 99.99, "inception_score": 8.871, "entropy_given_clip": 0.014},
        "SPYL, DBSE": {"action_accuracy": 100, "inception_score": 8.942, "entropy_given_clip": 0.006},
        "SKD": {"action_accuracy": 100, "inception_score": 8.999, "entropy_given_clip": 1.6e-7},
    },
}
"""Errors in %, accuracies in %, scores and nats, by protocol, method and column."""
