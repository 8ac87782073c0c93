"""The list of methods and the configurations name the same ones, with the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from nasbench.run.build import build
from nasbench.saliency.registry import METHODS, make_method

CONFIGS = Path(__file__).parents[2] / "configs" / "saliency"


def test_every_configuration_is_listed_once() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*METHODS, "custom"}


@pytest.mark.parametrize("name", METHODS)
def test_a_listed_method_is_that_of_its_configuration(name: str, tmp_path: Path) -> None:
    given = {"path": str(tmp_path)} if name == "precomputed" else {}
    node = OmegaConf.create({"seed": 0, "saliency": OmegaConf.load(CONFIGS / f"{name}.yaml")})
    resolved: Any = OmegaConf.to_container(node, resolve=True)
    config = {**resolved["saliency"], **given}
    made = make_method(name, **given)
    assert made.method.name == name
    assert _plain(build("saliency", config)) == _plain(made)


def _plain(method: Any) -> tuple[type, dict[str, Any]]:
    """A method's class and options; a configuration's lists are the defaults' tuples."""
    options = {key: list(v) if isinstance(v, tuple) else v for key, v in vars(method).items()}
    return type(method), options
