"""The pages that scripts write from the configuration files and from the command line's help."""

from __future__ import annotations

import re

import pytest
import yaml

from nasbench.config.compose import compose_run
from tests.support.cli import call
from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def configs():
    return load_script("write_config_reference")


@pytest.fixture(scope="module")
def cli():
    return load_script("write_cli_reference")


@pytest.mark.parametrize("name", ["write_config_reference", "write_cli_reference"])
def test_the_committed_page_is_what_the_script_makes(name):
    script = load_script(name)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), f"run python scripts/{name}.py"


def test_every_configuration_file_is_on_the_page(configs):
    page = configs.PAGE.read_text(encoding="utf-8")
    for path in configs.CONFIGS.glob("*/*.yaml"):
        if path.parent.name in configs.GROUPS:
            assert f"### {path.parent.name}={path.stem}\n" in page
    assert {path.stem for path in configs.CONFIGS.glob("*.yaml")} >= set(configs.COMMANDS)


def test_every_key_has_a_meaning_and_its_default(configs):
    for path in sorted(configs.CONFIGS.rglob("*.yaml")):
        if path.parent.name not in ("", *configs.GROUPS) and path.parent != configs.CONFIGS:
            continue
        text = path.read_text(encoding="utf-8")
        found = configs.read_reference(text)
        assert found.about, path
        missing = [key.name for key in found.keys if not key.about.strip(" .")]
        assert not missing, f"{path}: {missing} have no comment"
        assert [key.name for key in found.keys] == leaves(yaml.safe_load(text)), path


def leaves(node, prefix=""):
    """The keys of a file as the page has them: sections opened, lists and open dictionaries not."""
    found: list[str] = []
    for key, value in node.items():
        if key in {"_target_", "defaults", "cells"}:
            continue
        opened = isinstance(value, dict) and value and key != "kwargs"
        found += leaves(value, f"{prefix}{key}.") if opened else [f"{prefix}{key}"]
    return found


def test_the_page_has_no_key_that_a_command_lacks(configs):
    for command in ("segment", "explain", "wsol", "lerf"):
        found = configs.read_reference((configs.CONFIGS / f"{command}.yaml").read_text(encoding="utf-8"))
        composed = compose_run(command, [])
        known = {**composed.settings, **composed.cells[0]["config"]}
        assert {key.name.partition(".")[0] for key in found.keys} <= set(known)


def test_comments_are_read_as_they_are_written(configs):
    text = (
        "# What it is.\n#\n# More of\n# it.\n_target_: a.B\nn: 3   # first\n       # second\n\n"
        "# Above.\nm: null\n\n# A reason.\nk: [1, 2]  # a `#x` b\n\nview:\n  size: 4  # pixels\n"
    )
    found = configs.read_reference(text)
    assert found.about == ["What it is.", "More of it."]
    assert [(key.name, key.default, key.about) for key in found.keys] == [
        ("n", "3", "first second"),
        ("m", "null", "Above."),
        ("k", "[1, 2]", "a `#x` b. A reason."),
        ("view.size", "4", "pixels"),
    ]


def test_help_shows_what_the_page_has(cli, capsys, monkeypatch):
    """By the help itself: the page is made from the functions' signatures, which Typer reads too."""
    monkeypatch.setenv("COLUMNS", "200")
    names = []
    for name, function in cli.commands():
        shown = call(capsys, monkeypatch, *name.split(), "--help").out
        ours = {form.split()[0] for form, _, _ in cli.parameters(function) if form.startswith("--")}
        described = {option for line in shown.splitlines() if (option := option_of(line))}
        assert ours | {"--help"} == described | {"--help"}, name
        names.append(name)
    listed = call(capsys, monkeypatch, "--help").out
    for name in names:
        assert re.search(rf"^\W*{name}\b", listed, re.MULTILINE)
    assert "lerf" not in names, "the other spelling is hidden"


def option_of(line):
    """The option that a line of help describes, if it does."""
    words = line.strip(" │*").split()
    return words[0].rstrip(",") if words and words[0].startswith("--") else None
