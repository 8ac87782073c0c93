"""The page of methods is what the script makes of them now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from nasbench.config.locate import limitation
from nasbench.saliency.registry import METHODS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "write_methods.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("write_methods", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_what_the_methods_say_of_themselves(script):
    made = script.page()
    assert script.PAGE.read_text(encoding="utf-8") == made, "run: python scripts/write_methods.py"
    (row,) = [line for line in made.splitlines() if line.startswith("| [`cam`]")]
    assert "not VGG, ConvNeXt, MambaOut, ViT with an average <sup>1</sup>; ViT with a class token" in row
    limited = {line.split("`")[1] for line in made.splitlines() if line.startswith("| [") and "<sup>" in line}
    assert limited == {name for name in METHODS if limitation("saliency", name)}, "`nasbench ls` says it too"
