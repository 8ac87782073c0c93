"""The settings of the NAS paper, as far as they can be reconstructed: each plans without complaint."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nasbench.config.locate import choices, config_file
from tests.support.cli import call

MODEL = [
    "model=timm", "model.name=test_resnet", "model.weights=random", "model.num_classes=10",
    "model.input_size=64",
]  # fmt: skip
# experiment -> command, data set, cells
PAPER = {
    "nas_fig1_segments": ("segment", "imagenet", 3),
    "nas_fig3_depth": ("segment", "imagenet", 28),
    "nas_fig4_classes": ("segment", "cub", 1),
    "nas_fig5_superpixels": ("explain", "imagenet", 20),
    "nas_wsol_imagenet": ("wsol", None, 15),
    "nas_wsol_cub": ("wsol", None, 15),
    "nas_wsol_stl10": ("wsol", None, 15),
    "nas_lerf_imagenet": ("leRF", None, 15),
    "nas_lerf_cub": ("leRF", None, 15),
    "nas_lerf_stl10": ("leRF", None, 15),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two images in each official layout."""
    folder = tmp_path_factory.mktemp("sets")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8))
    imagenet, cub, stl10 = (folder / name for name in ("imagenet", "cub", "stl10"))
    val = imagenet / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    birds = cub / "images" / "001.Tit"
    for path in (val, birds, stl10):
        path.mkdir(parents=True)
    for name in ("a", "b"):
        picture.save(val / f"{name}.JPEG")
        picture.save(birds / f"{name}.jpg")
    (imagenet / "LOC_synset_mapping.txt").write_text("n01440764 tench\n")
    (imagenet / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\na,n01440764 0 0 4 5\nb,n01440764 1 1 9 9\n"
    )
    for name, text in {
        "classes.txt": "1 001.Tit\n",
        "images.txt": "1 001.Tit/a.jpg\n2 001.Tit/b.jpg\n",
        "train_test_split.txt": "1 0\n2 0\n",
        "image_class_labels.txt": "1 1\n2 1\n",
        "bounding_boxes.txt": "1 1.0 1.0 9.0 9.0\n2 2.0 2.0 9.0 9.0\n",
    }.items():
        (cub / name).write_text(text)
    (stl10 / "test_X.bin").write_bytes(bytes(2 * 27648))
    (stl10 / "test_y.bin").write_bytes(bytes([1, 1]))
    return folder


@pytest.mark.parametrize("experiment", sorted(PAPER))
def test_it_plans(experiment, roots, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    command, given, cells = PAPER[experiment]
    dataset = given or experiment.rpartition("_")[2]
    tokens = [command, f"experiment={experiment}", *MODEL, f"dataset.root={roots / dataset}", "--dry-run"]
    tokens += [f"dataset={dataset}"] if given else []
    tokens += ["segmenter.centroids=birds.npz"] if experiment == "nas_fig4_classes" else []
    result = call(capsys, monkeypatch, *tokens)
    assert result.code == 0, result.err
    lines = [line.split(maxsplit=1) for line in result.out.splitlines()]
    assert [words[0] for words in lines].count("cell") == cells
    assert ["images", "2"] in lines
    assert not list(tmp_path.iterdir())


def test_each_is_listed_here_and_says_that_it_is_a_reconstruction():
    ours = [name for name in choices("experiment") if name.startswith("nas_")]
    assert ours == sorted(PAPER)
    for name in ours:
        text = config_file("experiment", name).read_text(encoding="utf-8")
        assert "Reconstruction" in text.splitlines()[1], name
        assert "not public" in text or "does not tell" in text or "leaves open" in text, name
