"""The user's own configuration folder: $NASBENCH_CONFIGS."""

from __future__ import annotations

import pytest

from nasbench.config.compose import compose_run
from nasbench.config.locate import choices, config_file, describe, limitation
from nasbench.errors import UsageError
from nasbench.run.keys import keyed_config
from tests.support.cli import call

MINE = "# Mine.\n#\n# Not for the faint-hearted.\n_target_: mine.Method\nweights: 3\nseed: ${seed}\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes one of the user's files."""
    monkeypatch.setenv("NASBENCH_CONFIGS", str(tmp_path))

    def write(name="saliency/mine.yaml", text=MINE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_users_choice_is_one_like_all_others(own):
    path = own()
    assert {"mine", "gradcam"} <= set(choices("saliency"))
    assert config_file("saliency", "mine") == path
    assert describe("saliency", "mine") == "Mine."
    assert limitation("saliency", "mine") == "Not for the faint-hearted."
    cells = compose_run("explain", ["saliency=mine,gradcam", "saliency.weights=3,4", "seed=7"]).cells
    found = [(cell["choices"]["saliency"], cell["config"]["saliency"].get("weights")) for cell in cells]
    assert found == [("mine", 3), ("mine", 4), ("gradcam", None)]
    assert cells[0]["config"]["saliency"]["seed"] == 7
    assert cells[0]["swept"] == {"saliency.weights": 3}


def test_all_groups_may_have_own_choices(own):
    own("segmenter/fine.yaml", "_target_: nasbench.segment.controls.Grid\nn: 99\n")
    own("experiment/both.yaml", "# @package _global_\ncells:\n  - [segmenter=fine]\n  - [segmenter=grid]\n")
    cells = compose_run("segment", ["experiment=both"]).cells
    assert [cell["config"]["segmenter"]["n"] for cell in cells] == [99, 10]


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "a,b[c]",
        "it's",
        "ünïcöde",
        "100%20",
        "$x",
        "k=v",
        'quo"ted',
        "{a}",
        "~x+y#z",
        "back\\slash",
    ],
)
def test_the_folder_may_have_any_name(tmp_path, monkeypatch, name):
    folder = tmp_path / name / "saliency"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(MINE)
    monkeypatch.setenv("NASBENCH_CONFIGS", str(tmp_path / name))
    (cell,) = compose_run("explain", ["saliency=mine"]).cells
    assert cell["config"]["saliency"]["_target_"] == "mine.Method"


def test_another_folder_is_another_choice(tmp_path, monkeypatch):
    for number in (1, 2):
        (tmp_path / str(number) / "saliency").mkdir(parents=True)
        (tmp_path / str(number) / "saliency" / "mine.yaml").write_text(f"_target_: mine.M\nalpha: {number}\n")
        monkeypatch.setenv("NASBENCH_CONFIGS", str(tmp_path / str(number)))
        (cell,) = compose_run("explain", ["saliency=mine"]).cells
        assert cell["config"]["saliency"]["alpha"] == number
    monkeypatch.setenv("NASBENCH_CONFIGS", "")
    with pytest.raises(UsageError, match="no such saliency"):
        compose_run("explain", ["saliency=mine"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("saliency/gradcam.yaml", MINE, "saliency/gradcam.yaml has the name of one of ours; rename it"),
        ("saliency/mine.yaml", "a: [", "saliency=mine: "),
        ("saliency/mine.yaml", b"a: \xff\xfe", "saliency=mine: "),
        ("saliency/mine.yaml", "", "saliency: the file of the choice lacks _target_"),
        ("saliency/mine.yaml", "alpha: 3\n", "saliency: the file of the choice lacks _target_"),
        ("saliency/mine.yaml", "_target_: 3\n", "saliency: the file of the choice lacks _target_"),
        ("saliency/mine.yaml", "_target_: mine.M\nalpha: ???\n", "saliency.alpha is not set"),
        (
            "saliency/mine.yaml",
            "_target_: mine.M\nalpha: .nan\n",
            "saliency.alpha=nan must be a finite number",
        ),
        ("saliency/mine.yaml", "_target_: mine.M\nalpha: [1, .inf]\n", "saliency.alpha=inf must be a finite"),
        ("saliency/mine.yaml", "_target_: mine.M\nalpha: ${nowhere}\n", "nowhere"),
    ],
)
def test_a_file_that_will_not_do_is_one_line(capsys, monkeypatch, own, name, text, message):
    own(name, text)
    result = call(capsys, monkeypatch, "explain", "saliency=mine", "--cfg")
    assert result.code == 2
    assert message in result.line


def test_a_folder_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setenv("NASBENCH_CONFIGS", "nowhere")
    for args in (["ls", "saliency"], ["explain", "--cfg"]):
        result = call(capsys, monkeypatch, *args)
        assert result.code == 2
        assert "$NASBENCH_CONFIGS=nowhere: there is no such folder" in result.line


def test_a_broken_file_beside_the_choice_does_not_hide_a_misspelt_key(own):
    own("saliency/broken.yaml", "a: [")
    with pytest.raises(UsageError, match="saliency=gradcam has no key steps; saliency=ig has"):
        compose_run("explain", ["saliency.steps=3"])


def test_what_a_users_key_means_is_not_guessed(own, monkeypatch, tmp_path):
    """`weights` is a path in a model of ours, and whatever it likes in a user's class."""
    own()
    (tmp_path / "mine.py").write_text("class Method:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    described = {"name": "net", "weights": "file", "weights_digest": "abc"}
    keyed = [
        keyed_config(cell["config"], described)
        for cell in compose_run("explain", ["saliency=mine", "saliency.weights=3,4"]).cells
    ]
    assert [k["saliency"]["weights"] for k in keyed] == [3, 4]
    assert keyed[0]["sources"].keys() == {"saliency"}
    (ours,) = compose_run("explain", ["saliency=precomputed", "saliency.path=maps"]).cells
    assert "path" not in keyed_config(ours["config"], described)["saliency"]


def test_regions_are_a_segmenter_by_another_name():
    alias = compose_run("explain", ["saliency.regions=nas,none", "saliency.regions.k=3,4"])
    assert alias == compose_run("explain", ["segmenter=nas,none", "segmenter.k=3,4"])
    with pytest.raises(UsageError, match="segmenter is given twice; saliency.regions is another name of it"):
        compose_run("explain", ["saliency.regions=nas", "segmenter=slic"])
    for token in ("saliency.regions=nas", "saliency.regions.k=3", "saliency=gradcam", "saliency.layer=1"):
        with pytest.raises(UsageError, match="nasbench segment has no saliency to choose"):
            compose_run("segment", [token])
