"""What others print, for the rows beside ours: figures, their source, nothing else.

Errors, accuracies and EERs in %, scores, and entropies in nats, by dataset, section, method and column.
"""

from __future__ import annotations

Printed = dict[str, dict[str, dict[str, float]]]

_MUG = {
    name: dict(zip(("accuracy", "entropy_given_clip", "entropy", "inception_score", "fid"), figures, strict=True))
    for name, figures in {
        "MoCoGAN": (75.50, 0.26, 1.78, 4.60, 16.95),
        "DS-VAE(NA)": (66.73, 0.28, 1.77, 4.44, 18.72),
        "DS-VAE(W)": (82.84, 0.23, 1.78, 4.71, 14.79),
        "R-WAE(MMD)": (88.62, 0.17, 1.79, 5.05, 12.21),
        "R-WAE(GAN)": (90.15, 0.15, 1.79, 5.16, 10.86),
    }.items()
}

PRINTED: dict[str, Printed] = {
    "sprites": {
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
    },
    # Table 2.
    "sm-mnist": {
        "kept_content": {
            "DS-VAE (S)": {"digit": 3.31},
            "R-WAE (S)": {"digit": 1.78},
            "DS-VAE (C)": {"digit": 4.26},
            "R-WAE (C)": {"digit": 2.84},
        },
    },
    # Table 3; its FID is of another feature network.
    "mug": {"generation": _MUG},
    "human-actions": {"generation": {f"{name}, on MUG": figures for name, figures in _MUG.items()}},
    # Table 9, in brackets the frame networks.
    "moving-shapes": {
        "kept": {
            "DS-VAE (TFGAN)": {"static": 77.47, "dynamic": 72.45},
            "R-WAE (TFGAN)": {"static": 80.50, "dynamic": 83.60},
            "DS-VAE (BigGAN)": {"static": 75.37, "dynamic": 70.85},
            "R-WAE (BigGAN)": {"static": 75.27, "dynamic": 80.00},
        },
    },
    # Table 1; the last two as DiffSDA prints them.
    "timit": {
        "verification": {
            "FHVAE": {"static_eer": 5.06, "dynamic_eer": 22.77, "gap": 17.71},
            "DS-VAE": {"static_eer": 5.64, "dynamic_eer": 19.20, "gap": 13.56},
            "R-WAE": {"static_eer": 4.73, "dynamic_eer": 23.41, "gap": 18.68},
            "SPYL": {"static_eer": 3.41, "dynamic_eer": 33.22, "gap": 29.81},
            "DiffSDA": {"static_eer": 4.43, "dynamic_eer": 46.72, "gap": 42.29},
        },
    },
    # As DiffSDA prints them, of models trained on all of LibriSpeech: not comparable with ours.
    "librispeech": {
        "verification": {
            "DS-VAE, on all of it": {"static_eer": 15.06, "dynamic_eer": 28.94, "gap": 13.87},
            "SPYL, on all of it": {"static_eer": 24.87, "dynamic_eer": 49.76, "gap": 24.89},
            "DBSE, on all of it": {"static_eer": 16.75, "dynamic_eer": 22.61, "gap": 5.58},
            "DiffSDA, on all of it": {"static_eer": 11.02, "dynamic_eer": 45.94, "gap": 34.93},
        },
    },
}
