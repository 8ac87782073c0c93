"""The bundled checkpoint: its size, its keys, and its accuracy on scenes it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

import nasbench
from nasbench.data.rendered import CLASSES, RenderedDataset

BUNDLED = Path(nasbench.__file__).parent / "models" / "bundled" / "rendered.safetensors"
CONFIG = Path(__file__).parents[3] / "configs" / "model" / "rendered.yaml"


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    config = OmegaConf.load(CONFIG)
    network: torch.nn.Module = timm.create_model(config.name, num_classes=config.num_classes)
    network.load_state_dict(load_file(BUNDLED), strict=True)
    return network.eval()


def accuracy(model: torch.nn.Module, dataset: RenderedDataset) -> float:
    config = OmegaConf.load(CONFIG)
    mean, std = (torch.tensor(list(v)).view(3, 1, 1) for v in (config.mean, config.std))
    samples = [dataset.load(i) for i in dataset.ids()]
    hits = 0
    with torch.inference_mode():
        for start in range(0, len(samples), 50):
            batch = samples[start : start + 50]
            x = torch.from_numpy(np.stack([s.image for s in batch])).permute(0, 3, 1, 2).float() / 255
            found = model((x - mean) / std).argmax(1).tolist()
            hits += sum(f in s.labels for f, s in zip(found, batch, strict=True))
    return hits / len(samples)


def test_the_checkpoint_is_at_most_2_megabytes_and_fits_the_classes(model: torch.nn.Module) -> None:
    assert BUNDLED.stat().st_size <= 2_000_000
    assert model.num_classes == len(CLASSES)


def test_at_least_95_percent_of_unseen_scenes_are_right(model: torch.nn.Module) -> None:
    assert accuracy(model, RenderedDataset(n=300, seed=0)) >= 0.95
    assert accuracy(model, RenderedDataset(n=96, seed=7)) >= 0.94  # another seed: 96 scenes, so one more miss


def test_a_background_that_says_nothing_and_one_that_agrees_give_the_same_accuracy(
    model: torch.nn.Module,
) -> None:
    # Trained without a bias: the backdrop must not matter to it.
    free = accuracy(model, RenderedDataset(n=96))
    tied = accuracy(model, RenderedDataset(n=96, background_bias=1.0))
    assert abs(free - tied) <= 0.04
