"""The dataset's contract: ids, digests, samples, errors, and the two config files."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from nasbench.data.rendered import CLASSES, RenderedDataset, render, scene
from nasbench.errors import DataError, UsageError

CONFIGS = Path(__file__).parents[3] / "configs"


def defaults() -> dict[str, Any]:
    parameters = inspect.signature(RenderedDataset).parameters.values()
    return {p.name: p.default for p in parameters}


def test_ids_are_unique_and_named_by_split_and_index() -> None:
    dataset = RenderedDataset(n=30, split="val")
    assert list(dataset.ids()) == [f"val-{i:06d}" for i in range(30)]
    assert dataset.classes == CLASSES
    assert dataset.truth == "mask"


def test_a_sample_is_the_rendered_scene() -> None:
    dataset = RenderedDataset(n=5, seed=3, difficulty=3, background_bias=0.5, size=96)
    sample = dataset.load("test-000004")
    drawn = scene(4, seed=3, difficulty=3, background_bias=0.5, size=96)
    expected = render(drawn)
    assert sample.id == "test-000004"
    assert sample.labels == (drawn.label,)
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.mask, expected.mask)
    np.testing.assert_array_equal(sample.boxes, [expected.box])
    assert sample.boxes.dtype == np.float64
    assert sample.parts.keys() == expected.parts.keys()
    assert dataset.scene("test-000004") == drawn


def test_the_digest_depends_on_all_that_decides_a_pixel_and_on_nothing_else() -> None:
    base: dict[str, Any] = {"split": "test", "seed": 0, "difficulty": 2, "background_bias": 0.0, "size": 224}
    digest = RenderedDataset(**base).digest("test-000001")
    assert digest == RenderedDataset(**base, n=2).digest("test-000001")
    assert digest == RenderedDataset(**{**base, "background_bias": 0}).digest("test-000001")
    assert digest != RenderedDataset(**base).digest("test-000002")
    for change in ({"seed": 1}, {"difficulty": 1}, {"background_bias": 0.1}, {"size": 112}):
        assert digest != RenderedDataset(**{**base, **change}).digest("test-000001")
    assert RenderedDataset(**{**base, "split": "val"}).digest("val-000001") != digest


@pytest.mark.parametrize(
    "sample_id", ["test-000064", "train-000001", "test-1", "test-", "test--00001", "", "test-٠٠٠٠٠١"]
)
def test_an_unknown_id_is_refused_in_one_line(sample_id: str) -> None:
    dataset = RenderedDataset()
    with pytest.raises(DataError, match="test-000000 to test-000063") as caught:
        dataset.load(sample_id)
    assert "\n" not in str(caught.value)
    assert dataset.digest(sample_id)


@pytest.mark.parametrize("n", [0, -1, 1_000_001, 2.0, True, "8"])
def test_a_wrong_number_of_scenes_is_refused(n: Any) -> None:
    with pytest.raises(UsageError, match=r"n=.* is not an integer in 1\.\.1000000"):
        RenderedDataset(n=n)


def test_wrong_knobs_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="difficulty=9"):
        RenderedDataset(difficulty=9)


def test_the_config_names_every_argument_with_its_default() -> None:
    config = OmegaConf.to_container(OmegaConf.load(CONFIGS / "dataset" / "rendered.yaml"))
    assert isinstance(config, dict)
    module, _, name = config.pop("_target_").rpartition(".")
    built = getattr(importlib.import_module(module), name)
    assert built is RenderedDataset
    assert config == defaults()


def test_the_models_config_fits_the_classes() -> None:
    config = OmegaConf.load(CONFIGS / "model" / "rendered.yaml")
    assert config.weights == "bundled"
    assert config.num_classes == len(CLASSES)
    assert config.input_size == defaults()["size"]
