"""Shapes in signatures are checked while testing, in every module that has tensors."""

import os
from collections.abc import Iterator

import pytest
from jaxtyping import config, install_import_hook

CORE = (
    "action",
    "content",
    "decoder",
    "frames",
    "gaussian",
    "gumbel",
    "latents",
    "model",
    "motion",
    "recording",
    "speech",
)
TRAINING = (
    "autoencoding",
    "baselines",
    "critics",
    "datasets",
    "evaluation",
    "hierarchical",
    "objectives",
    "views",
)

install_import_hook(
    [*(f"rwae_core.{name}" for name in CORE), *(f"training.{name}" for name in TRAINING)], "beartype.beartype"
)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """As outside of tests: what users are told of a wrong shape, and values that stand in for tensors."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def priority() -> Iterator[None]:
    """No library leaves the process, and with it browsers and services, at a real-time priority."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
