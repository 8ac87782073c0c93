"""What `nasbench explain` promises: the same rows from any batch, any number of workers, after any kill."""

from __future__ import annotations

import pytest

from nasbench.models import Classifier
from nasbench.run.plan import UNIT_SAMPLES
from nasbench.run.task import run_task
from tests.support.cli import make_images, tiny_explain
from tests.support.explain import STATISTICS, names, rows


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Two units of images."""
    return make_images(tmp_path_factory.mktemp("data") / "photos", UNIT_SAMPLES + 4)


# A network without kinks: where a ReLU's input is within rounding of 0, a gradient with respect to the image
# jumps with the size of the batch.
SEVERAL = ("saliency=gradcam,layercam,eigencam,gradient,smoothgrad,random,swag", "saliency.n=4")


def smooth(images, *more):
    args = tiny_explain(images, *SEVERAL, *more)
    return ["model.name=test_efficientnet" if a == "model.name=test_resnet" else a for a in args]


def test_the_batch_changes_no_more_than_the_last_bits(run, images, tmp_path):
    args = smooth(images, "segmenter=none,grid")
    for size in (1, 3, 16):
        run(*args, f"max_batch={size}", "--out", f"b{size}")
    assert names(tmp_path / "b1") == names(tmp_path / "b3") == names(tmp_path / "b16"), "it is in no key"
    per_cell: dict[tuple[str, str, str], dict[int, dict[str, float]]] = {}
    for size in (1, 3, 16):
        for row in rows(tmp_path / f"b{size}", status="ok"):
            cell = (row["saliency"], row["segmenter"], row["sample"])
            per_cell.setdefault(cell, {}).setdefault(size, {})[row["metric"]] = row["value"]
    assert len(per_cell) == 14 * 11
    for cell, found in per_cell.items():
        scale = max(abs(found[1]["map_min"]), abs(found[1]["map_max"]))
        for size in (3, 16):
            for metric in ("map_min", "map_max", "map_mean"):
                assert abs(found[size][metric] - found[1][metric]) <= 1e-5 * scale, (cell, size, metric)
            assert abs(found[size]["map_positive"] - found[1]["map_positive"]) <= 1e-3


def test_the_company_of_an_image_changes_no_more_either(run, images, tmp_path):
    run(*smooth(images, "--out", "all"))
    run(*smooth(images, "--limit", "5", "--out", "few"))
    few = rows(tmp_path / "few", status="ok")
    whole = {(r["saliency"], r["sample"], r["metric"]): r["value"] for r in rows(tmp_path / "all")}
    assert len(few) == 7 * 5 * len(STATISTICS)
    for row in few:
        if row["metric"] != "map_positive":
            largest = max(abs(whole[row["saliency"], row["sample"], m]) for m in ("map_min", "map_max"))
            there = whole[row["saliency"], row["sample"], row["metric"]]
            assert abs(row["value"] - there) <= 1e-5 * largest


def test_the_same_bytes_in_a_pool_after_a_kill_and_resumed(run, many, tmp_path, monkeypatch):
    args = tiny_explain(many, "saliency=gradcam,random", "target=prediction", "segmenter=none,nas")
    run(*args, "--out", "one")
    run(*args, "engine.workers=2", "--out", "pool")
    done = []

    def interrupted(task, *rest):
        done.append(task)
        if len(done) > 1:
            raise KeyboardInterrupt
        return run_task(task, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("nasbench.run.engine.run_task", interrupted)
        assert "Resume with" in run(*args, "--out", "killed", code=130).line
    assert len(names(tmp_path / "killed")) == 4
    result = run(*args, "--out", "killed")
    assert "4 of 8 units computed, the others were there already" in result.err
    one = {p.name: p.read_bytes() for p in (tmp_path / "one" / "rows").iterdir()}
    assert len(one) == 8
    for other in ("pool", "killed"):
        assert {p.name: p.read_bytes() for p in (tmp_path / other / "rows").iterdir()} == one
        for file in ("summary.csv", "sheet.png"):
            assert (tmp_path / other / file).read_bytes() == (tmp_path / "one" / file).read_bytes()


def test_a_lost_unit_alone_is_computed_again(run, many, tmp_path):
    args = tiny_explain(many, "saliency=gradcam,gradient", "target=3", "--out", "out")
    run(*args)
    lost = min((tmp_path / "out" / "rows").iterdir())
    before = lost.read_bytes()
    lost.unlink()
    assert "1 of 4 units computed" in run(*args).err
    assert lost.read_bytes() == before


def test_each_image_is_forwarded_once_where_it_matters(run, images, monkeypatch):
    seen = {"features": 0, "forward_graph": 0}

    def counting(name):
        original = getattr(Classifier, name)

        def counted(self, x, *rest):
            seen[name] += len(x)
            return original(self, x, *rest)

        monkeypatch.setattr(Classifier, name, counted)

    counting("features")
    counting("forward_graph")
    more = ("saliency=gradcam,cam,layercam", "segmenter=none,nas,grid,nas_tree", "target=prediction")
    args = tiny_explain(images, *more)
    run(*args, "--out", "out")
    # Of one random image each: is the head linear; which layer is the deepest, and is it read.
    probes = {"features": 1, "forward_graph": 2}
    assert seen == {"features": 12 + probes["features"], "forward_graph": probes["forward_graph"]}
    seen.update(features=0)
    run(*tiny_explain(images, "saliency=random,centre", "--out", "blind"))
    assert seen["features"] == 0
