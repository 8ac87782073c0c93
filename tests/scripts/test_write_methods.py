"""The page of methods is what the script makes of them now."""

from __future__ import annotations

import pytest

from nasbench.config.locate import limitation
from nasbench.saliency.registry import METHODS
from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def script():
    return load_script("write_methods")


def test_the_committed_page_is_what_the_methods_say_of_themselves(script):
    made = script.page()
    assert script.PAGE.read_text(encoding="utf-8") == made, "run: python scripts/write_methods.py"
    (row,) = [line for line in made.splitlines() if line.startswith("| [`cam`]")]
    assert "not VGG, ConvNeXt, MambaOut, ViT with an average <sup>1</sup>; ViT with a class token" in row
    limited = {line.split("`")[1] for line in made.splitlines() if line.startswith("| [") and "<sup>" in line}
    assert limited == {name for name in METHODS if limitation("saliency", name)}, "`nasbench ls` says it too"
