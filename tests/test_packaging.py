"""sdist → wheel → an environment of its own → a run from another folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
# Where a fresh folder finds the default suite's baseline, once it has been read.
BASELINE = """
from nasbench.config.suite import compose_steps, read_suite
from nasbench.regress.baseline import baseline_file, read_baseline
suite = read_suite("default")
path = baseline_file(suite.name, None)
held = read_baseline(path, suite.name)
assert list(held.figures) == [figure.name for figure in suite.figures] and compose_steps(suite)
print(path)
"""


def run(*args: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the sdist and not from the checkout."""
    dist = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, REPO, cwd=REPO)
    built: Path = next(dist.glob("*.whl"))
    return built


def test_the_wheel_carries_configs_checkpoint_and_types(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "nasbench/configs/segment.yaml" in names
    assert "nasbench/configs/segmenter/nas.yaml" in names
    assert "nasbench/configs/regress/default.yaml" in names
    assert "nasbench/baselines/default.json" in names
    assert "nasbench/models/bundled/rendered.safetensors" in names
    assert "nasbench/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "scripts", "results"))]
    assert wheel.stat().st_size < 3 << 20


@pytest.mark.slow
def test_the_wheel_runs_from_another_folder(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # The dependencies are those of this environment: they weigh gigabytes. A path file inside one that
    # is itself on the path by such a file is not read, so the checkout does not come along.
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where = run(python, "-c", "import nasbench; print(nasbench.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(home)
    shown = run(home / "bin" / "nasbench", "segment", "--limit", "2", cwd=tmp_path)
    assert "table:" in shown
    assert list(tmp_path.glob("results/runs/segment/*/sheet.png"))
    assert "--junit" in run(home / "bin" / "nasbench", "regress", "--help", cwd=tmp_path)
    found = run(python, "-c", BASELINE, cwd=tmp_path).strip()
    assert Path(found).is_relative_to(home)
