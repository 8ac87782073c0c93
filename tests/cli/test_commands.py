"""What the commands show."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from nasbench import __version__
from tests.support.cli import call, make_images, spawn, tiny


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args: call(capsys, monkeypatch, *args)


def test_help_lists_the_commands(run):
    for args in ([], ["--help"]):
        result = run(*args)
        assert result.code == 0
        assert "segment" in result.out
        assert "explain" in result.out
        assert "regress" in result.out
        assert "ls" in result.out


def test_version(run):
    assert run("--version").out.strip() == f"nasbench {__version__}"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from nasbench.cli.app import run; run(['--help']);"
        "run(['segment', '--help']); run(['explain', '--help']); run(['regress', '--help']);"
        "heavy = {'torch', 'timm', 'sklearn', 'skimage', 'numpy', 'pandas', 'pyarrow', 'hydra'};"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "heavy: []"


def test_misuse_is_found_before_torch_is_imported():
    code = (
        "import sys; from nasbench.cli.app import run;"
        "print(run(['segment', 'segmenter.kk=3']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_ls(run):
    assert "Neuro-Activated Superpixels" in run("ls", "segmenters").out
    assert run("ls", "segmenters", "sl*").out.split()[0] == "slic"
    assert "resnet50" in run("ls", "models").out
    assert "model=timm model.name=vit_tiny_patch16_224" in run("ls", "models", "vit_tiny_*").out
    assert "imagenet" in run("ls", "datasets").out
    cam, limit = run("ls", "saliency", "cam").out.splitlines()
    assert cam.startswith("cam                  CAM: ")
    assert limit.strip().startswith("Not for class tokens (ViT, DeiT), nor for ")


def test_cfg_prints_what_config_reads(run, tmp_path):
    images = make_images(tmp_path / "photos", 2)
    args = tiny(images, "segmenter=grid,slic", "segmenter.n=4")
    printed = run(*args, "--cfg", "--limit", "1").out
    record = yaml.safe_load(printed)
    assert [cell["choices"]["segmenter"] for cell in record["cells"]] == ["grid", "slic"]
    assert record["settings"]["limit"] == 1
    (tmp_path / "c.yaml").write_text(printed)
    assert run("segment", "--config", "c.yaml", "--out", "a").code == 0
    assert run(*args, "--limit", "1", "--out", "b").code == 0
    assert (tmp_path / "a" / "summary.csv").read_bytes() == (tmp_path / "b" / "summary.csv").read_bytes()
    assert (tmp_path / "a" / "config.yaml").read_text() == printed


def test_dry_run_counts_and_writes_nothing(run, tmp_path):
    images = make_images(tmp_path / "photos", 40)
    result = run(*tiny(images, "segmenter=nas,grid", "segmenter.k=3,4", "model.seed=0,1", "--dry-run"))
    assert result.code == 0
    shown = [line.split(maxsplit=1) for line in result.out.splitlines()]
    assert [words[0] for words in shown].count("cell") == 6
    found = {words[0]: words[1] for words in shown}
    assert found["images"] == "40"
    assert found["units"].startswith("12 ")
    assert found["tasks"] == "2"
    assert found["forwards"] == "80"
    assert not (tmp_path / "results").exists()


def test_the_default_folder_is_named_by_the_plan(run, tmp_path):
    images = make_images(tmp_path / "photos", 2)
    assert run(*tiny(images, "segmenter=grid")).code == 0
    (folder,) = (tmp_path / "results" / "runs" / "segment").iterdir()
    assert len(folder.name) == 12
    assert (folder / "summary.csv").is_file()


def test_progress_is_silent_where_there_is_no_terminal(tmp_path):
    images = make_images(tmp_path / "photos", 2)
    result = spawn(*tiny(images, "segmenter=grid"), cwd=tmp_path)
    assert result.code == 0
    assert result.err.strip() == "1 of 1 units computed"
    assert "\x1b" not in result.out
    assert "table:" in result.out
    assert "picture:" in result.out


def test_debug_shows_the_traceback(run):
    with pytest.raises(Exception, match="such"):
        run("segment", "segmenter=such", "--debug")
