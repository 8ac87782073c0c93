"""Which versions are in the keys of units."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import cv2
import pytest

from nasbench.run import keys
from nasbench.run.keys import numeric_versions, unit_key

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch):
    """Put distributions of OpenCV in the place of those that are there."""

    def put(**versions):
        real = metadata.version

        def version(name):
            if not name.startswith("opencv"):
                return real(name)
            if name.replace("-", "_") not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name.replace("-", "_")]

        monkeypatch.setattr(metadata, "version", version)
        numeric_versions.cache_clear()

    yield put
    monkeypatch.undo()
    numeric_versions.cache_clear()


def test_the_opencv_that_is_imported_is_in_the_versions():
    found = numeric_versions()["opencv"]
    # A distribution's fourth number counts its builds.
    assert found == cv2.__version__ or found.startswith(f"{cv2.__version__}.")
    assert list(numeric_versions()) == sorted(numeric_versions())


def test_the_distribution_that_the_project_asks_for_is_known():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (name,) = (one.partition(">")[0] for one in asked if one.startswith("opencv"))
    assert name == keys._OPENCV[0]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"opencv_python": "4.9.0.80"}, "4.9.0.80"),
        ({"opencv_contrib_python": "4.10.0.84"}, "4.10.0.84"),
        ({"opencv_contrib_python_headless": "4.11.0.86"}, "4.11.0.86"),
        ({"opencv_python": "4.9.0.80", "opencv_python_headless": "4.9.0.80"}, "4.9.0.80"),
        ({"opencv_python": "4.9.0.80", "opencv_python_headless": "4.12.0.88"}, "4.12.0.88 4.9.0.80"),
        ({}, "unknown"),
    ],
)
def test_any_distribution_of_opencv_will_do(installed, there, said):
    installed(**there)
    assert numeric_versions()["opencv"] == said


def test_another_opencv_is_another_key(installed):
    found = set()
    for version in ("4.9.0.80", "4.12.0.88", "4.9.0.80"):
        installed(opencv_python_headless=version)
        found.add(unit_key("lerf", {"imputer": "telea"}, {}, [("a", "0")], None))
    assert len(found) == 2


def test_a_processor_is_told_by_its_generation_too(monkeypatch, tmp_path):
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(keys, "_CPUINFO", told)
    told.write_text(
        "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: Make\nprocessor\t: 1\nmodel\t: 9\n"
    )
    assert keys.platform_record()["processor"] == "Make (family 26, model 2)"
    told.write_text("processor: 0\nmodel name: Other\n")
    assert keys.platform_record()["processor"] == "Other"
    told.unlink()
    assert isinstance(keys.platform_record()["processor"], str)
