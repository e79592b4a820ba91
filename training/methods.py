"""The methods by configuration: which class is built, and which algorithm trains it."""

from __future__ import annotations

from rwae_core.config import ModelConfig
from rwae_core.model import RWAE
from training.adversarial import Adversarial
from training.algorithm import Algorithm
from training.autoencoding import Autoencoding
from training.baselines.ds_vae import DSVAE, DSVAEConfig
from training.baselines.fhvae import FHVAE, FHVAEConfig
from training.baselines.mocogan import MoCoGAN, MoCoGANConfig
from training.datasets import Dataset
from training.hierarchical import Hierarchical
from training.preset import Preset

Model = RWAE | FHVAE | MoCoGAN
"""A `training.sequence_model.SequenceModel`; DS-VAE is an R-WAE with other posteriors."""


def build(config: ModelConfig | FHVAEConfig | MoCoGANConfig) -> Model:
    """The untrained model of a configuration."""
    if isinstance(config, FHVAEConfig):
        return FHVAE(config)
    if isinstance(config, MoCoGANConfig):
        return MoCoGAN(config)
    return DSVAE(config) if isinstance(config, DSVAEConfig) else RWAE(config)


def algorithm(chosen: Preset, data: Dataset) -> Algorithm:
    """A preset's model with all that trains it on a dataset."""
    model = build(chosen.model)
    if isinstance(model, MoCoGAN):
        return Adversarial(model, chosen)
    return Hierarchical(model, chosen, data) if isinstance(model, FHVAE) else Autoencoding(model, chosen)
