"""The house keeps its shape: rooms import in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "nasbench"

# room -> rooms it may import from; the leaves (atomic, errors, digest, rng) are open to all.
ARROWS = {
    "cli": {"config", "run", "report", "regress", "data", "models"},
    "config": set(),
    "data": set(),
    "models": set(),
    "segment": {"models"},
    "saliency": {"models", "segment"},
    "localize": set(),
    "faithfulness": {"models", "segment"},
    "run": {"data", "models", "saliency", "segment", "localize", "faithfulness"},
    "report": {"run", "localize", "faithfulness", "statistics"},
    "statistics": set(),
    "regress": {"config", "run", "report"},
}
LEAVES = {"atomic", "errors", "digest", "importing", "rng"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "nasbench":
                names = [f"nasbench.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "nasbench" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_imports_follow_the_arrows(room):
    for path in (PACKAGE / room).rglob("*.py"):
        foreign = set(imported(path)) - ARROWS[room] - LEAVES - {room, "__version__"}
        assert not foreign, f"{path.relative_to(PACKAGE)} imports from {sorted(foreign)}"


def test_every_room_is_on_the_map():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(ARROWS)


def test_reports_open_no_dataset_and_no_model():
    for path in (PACKAGE / "report").rglob("*.py"):
        assert "nasbench.data" not in path.read_text()
        assert "nasbench.models" not in path.read_text()


def test_modules_stay_small():
    long = {p.name: n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 350}
    assert not long
