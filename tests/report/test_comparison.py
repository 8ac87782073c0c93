"""The numbers of a comparison: those of the runs themselves, known differences, and who is told apart."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nasbench.errors import RunError
from nasbench.report import comparison, localisation, relevance_images
from nasbench.report.comparison import compare, measure, metric_names
from nasbench.report.comparison_text import comparison_csv, comparison_md, comparison_text
from nasbench.report.differences_plot import differences_plot
from nasbench.report.latex import comparison_tex, escaped
from nasbench.report.localisation import Stratum, read_entries, score
from nasbench.report.merged import merge_runs
from nasbench.report.paired import differences
from nasbench.report.relevance_images import read_images
from nasbench.report.relevance_scores import score_cell
from nasbench.report.verdict import notes, verdict, verdicts
from nasbench.statistics.bootstrap import Interval
from nasbench.statistics.paired import holm
from nasbench.statistics.power import images_needed
from tests.support.lerf import curve_rows
from tests.support.runs import MadeCell, made_run, scored
from tests.support.wsol import made_up

IDS = [f"image-{i:02d}" for i in range(24)]
NOISE = np.random.default_rng(0).normal(0, 0.05, len(IDS))
BASE = dict(zip(IDS, 0.5 + NOISE, strict=True))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(localisation, "RESAMPLES", 100)
    monkeypatch.setattr(relevance_images, "RESAMPLES", 100)


def regions(segmenter, shift=0.0, *, only=IDS, wobble=None, **more):
    values = {name: BASE[name] + shift + (wobble or {}).get(name, 0.0) for name in only}
    return MadeCell([scored(values)], command="segment", segmenter=segmenter, **more)


def boxes(saliency, low, *, only=IDS, **more):
    """Right at thresholds above `low` of an image, at some IoUs more than at others."""
    rng = np.random.default_rng(len(saliency) + int(100 * low))
    rows = []
    for name in only:
        start = low + rng.random() * 0.4
        right = [[(start, 0.99)] if delta < 8 + rng.integers(5) else [] for delta in range(14)]
        rows += made_up(name, right=right, top=(int(rng.random() < 0.7), 1))
    return MadeCell([rows], saliency=saliency, **more)


def compared(*paths, **how):
    merged = merge_runs(paths)
    return merged, compare(merged, measure(merged), **how)


def by_label(table, name=None):
    column = name or table.columns[0].name
    lines = table.pivot.lines
    return {
        line.label: table.numbers[i, column] for i, line in enumerate(lines) if (i, column) in table.numbers
    }


def test_a_constant_difference(tmp_path):
    _, (table,) = compared(made_run(tmp_path / "a", regions("nas", 0.1), regions("slic")))
    found = by_label(table)
    assert found["nas"].value == pytest.approx(0.6 + NOISE.mean())
    assert found["slic"].low < found["slic"].value < found["slic"].high
    lead = table.lead.lead
    assert (lead.value, lead.low, lead.high) == pytest.approx((0.1, 0.1, 0.1))
    assert table.lead.n95 == 2
    assert table.bold("object_iou") == 0
    assert verdict(table) == (
        "nas leads slic in object_iou by 0.100 [0.100, 0.100] on 24 images: told apart; "
        "n95 is about 2 images (power 0.8)."
    )


def test_two_that_cannot_be_told_apart(tmp_path):
    wobble = dict(zip(IDS, np.random.default_rng(1).normal(0.02, 0.2, len(IDS)), strict=True))
    paths = [
        made_run(tmp_path / "a", regions("nas", wobble=wobble)),
        made_run(tmp_path / "b", regions("slic")),
    ]
    _, (table,) = compared(*paths)
    lead = table.lead.lead
    assert lead.low < 0 < lead.high
    assert table.bold("object_iou") is None
    differing = np.array(list(wobble.values()))
    expected = images_needed(differing, np.zeros(len(IDS)), images=IDS)
    assert table.lead.n95 == expected
    assert f"not told apart; about {expected} images would tell (n95, power 0.8)." in verdict(table)


def test_level_alone_and_of_few_images(tmp_path):
    _, (table,) = compared(made_run(tmp_path / "a", regions("nas"), regions("slic")))
    assert verdict(table).startswith("nas and slic are level in object_iou, 0.000")
    _, (table,) = compared(made_run(tmp_path / "b", regions("nas")))
    assert verdict(table).endswith("there is no other line to compare it with.")
    assert differences_plot([table]) == {}
    few = IDS[:5]
    _, (table,) = compared(made_run(tmp_path / "c", regions("nas", 0.1, only=few), regions("slic", only=few)))
    assert table.bold("object_iou") is None
    assert "not told apart, which takes at least 6 images" in verdict(table)


def test_where_lower_is_better(tmp_path):
    cells = [
        replace(
            regions(name, shift), blocks=[scored(dict.fromkeys(IDS, level), metric="undersegmentation_error")]
        )
        for name, shift, level in (("nas", 0, 0.2), ("slic", 0, 0.5))
    ]
    _, (table,) = compared(made_run(tmp_path / "a", *cells))
    assert verdict(table).startswith("nas leads slic in undersegmentation_error by 0.300 [0.300, 0.300]")
    assert table.bold("undersegmentation_error") == 0


def test_partial_runs(tmp_path):
    half = replace(regions("nas", 0.1), blocks=[regions("nas", 0.1, only=IDS[:16]).blocks[0], None])
    paths = [made_run(tmp_path / "a", half, status="interrupted"), made_run(tmp_path / "b", regions("slic"))]
    merged, (table,) = compared(*paths)
    assert {label: number.n for label, number in by_label(table).items()} == {"nas": 16, "slic": 24}
    assert table.lead.n == 16
    text = comparison_text(merged, [table])
    assert f"{paths[0]}: 1 of 2 blocks (status interrupted)" in text
    assert "Lines have 16 to 24 images, 16 in common: their order and all differences are of these." in text
    assert "on 16 images" in verdict(table)


def test_failures_and_versions_are_said(tmp_path):
    failed = [replace(row, value=None, status="error", reason="broken") for row in scored({"image-00": 1})]
    cell = replace(regions("nas"), blocks=[[*regions("nas", only=IDS[1:]).blocks[0], *failed]])
    paths = [
        made_run(tmp_path / "a", cell),
        made_run(tmp_path / "b", regions("slic"), versions={"torch": "2.1", "numpy": "2.1"}),
    ]
    merged, tables = compared(*paths)
    assert list(notes(merged, tables)) == [
        f"torch differs: 2.0 ({paths[0]}), 2.1 ({paths[1]}); last bits of the numbers may",
        "nas: 1 × no object_iou (segmentation, d)",
    ]


def test_a_cell_without_any_number_keeps_its_line(tmp_path):
    failed = [replace(row, value=None, status="skipped", reason="none") for row in regions("nas").blocks[0]]
    path = made_run(
        tmp_path / "a", replace(regions("nas"), blocks=[failed]), regions("slic"), regions("grid")
    )
    merged, (table,) = compared(path)
    assert set(by_label(table)) == {"slic", "grid"}
    text = comparison_text(merged, [table])
    assert "nas: 24 × no object_iou" in text
    assert "—" in text


def test_nothing_but_failures(tmp_path):
    failed = [replace(row, value=None, status="error", reason="broken") for row in regions("nas").blocks[0]]
    path = made_run(tmp_path / "a", replace(regions("nas"), blocks=[failed]))
    with pytest.raises(RunError, match=f"{path}: no image has a number, every row failed or was skipped"):
        compared(path)


def test_an_image_with_several_classes_is_one_image(tmp_path):
    cells = []
    for name, shift in (("cam", 0.0), ("gradient", 0.3)):
        rows = [r for i in IDS for c in (1, 2) for r in curve_rows(i, lerf=0.5 + shift, target=c)]
        cells.append(MadeCell([rows], command="lerf", saliency=name))
    _, (table,) = compared(made_run(tmp_path / "a", *cells), metrics=["auc_lerf"])
    assert table.lead.n == table.numbers[0, "auc_lerf"].n == 24
    assert table.lead.lead.value == pytest.approx(0.3)


def test_lines_averaged_over_cells(tmp_path):
    cells = [
        regions(name, shift + 0.01 * k, more={"segmenter.k": k}, swept={"segmenter.k": k})
        for name, shift in (("nas", 0.1), ("slic", 0.0))
        for k in (5, 10)
    ]
    path = made_run(tmp_path / "a", *cells)
    merged, (table,) = compared(path)
    assert table.pivot.keys == ("segmenter", "segmenter.k")
    assert len(table.pivot.lines) == 4
    merged, (table,) = compared(path, by=["segmenter"])
    assert by_label(table)["nas"].value == pytest.approx(0.675 + NOISE.mean())
    assert by_label(table)["nas"].n == 24
    assert table.lead.lead.value == pytest.approx(0.1)
    assert "Means over images and segmenter.k (5, 10), with" in comparison_text(merged, [table])


def test_averages_are_over_the_same_for_all_lines(tmp_path):
    path = made_run(tmp_path / "a", boxes("cam", 0.1), boxes("cam", 0.2, segmenter="nas"), boxes("ig", 0.1))
    with pytest.raises(
        RunError, match="--by would average over saliency, but there is no ig of nas: name it"
    ):
        compared(path, by=["segmenter"])
    # Options of a named choice may differ: `none` has no k.
    k = {"segmenter.k": 5}
    path = made_run(tmp_path / "b", boxes("cam", 0.1), boxes("cam", 0.2, segmenter="nas", more=k, swept=k))
    assert len(compared(path, by=["segmenter"])[1][0].pivot.lines) == 2


def test_networks_are_drawn_where_a_line_has_several(tmp_path):
    cells = [
        regions(name, shift * worth, model=model)
        for name, worth in (("nas", 1.0), ("slic", 0.0))
        for model, shift in (("m", 0.01), ("n", 0.1), ("o", 0.2))
    ]
    path = made_run(tmp_path / "a", *cells)
    merged, (averaged,) = compared(path, by=["segmenter"])
    lead = averaged.lead.lead
    assert lead.value == pytest.approx(0.31 / 3)
    # Between images the difference does not vary at all, between networks it does.
    assert lead.high - lead.low > 0.1
    assert "over images and networks" in comparison_text(merged, [averaged])
    _, (table,) = compared(path)
    assert len(table.pivot.lines) == 6
    assert verdict(table).startswith("o + nas leads n + nas")


def test_boxes_have_the_numbers_of_their_run(tmp_path):
    cells = [boxes("cam", 0.1), boxes("cam", 0.2, segmenter="nas")]
    merged, tables = compared(made_run(tmp_path / "a", *cells), metrics=["box_acc_mean", "top1_loc@0.50"])
    entries = [read_entries(merged.rows, cell.keys) for cell in merged.cells]
    assert [table.stratum for table in tables] == ["small", "all"]
    for table in tables:
        told = {}
        for i, cell in enumerate(merged.cells):
            part = Stratum.of(entries[i].kept, table.stratum)
            told[i, table.stratum] = score(part, cell.config["metric"], constant=False)
            for name in ("box_acc_mean", "top1_loc@0.50"):
                wanted = told[i, table.stratum].estimates[name]
                found = table.numbers[i, name]
                assert (found.value, found.low, found.high) == pytest.approx(
                    (wanted.value, wanted.low, wanted.high)
                )
        paired = differences(merged.cells, entries, told, table.stratum)
        (less,) = (one for one in paired if one.column == "box_acc_mean")
        (found,) = table.lead.to_base.values()
        assert (found.value, found.low, found.high) == pytest.approx((less.value, less.low, less.high))
        decided = [told[i, table.stratum].right[:, 4:].mean(axis=1) for i in (less.cell, less.base)]
        samples = [key[0] for key in Stratum.of(entries[0].kept, table.stratum).keys]
        assert table.lead.n95 == images_needed(*decided, images=samples)


def test_relevance_has_the_numbers_of_its_run(tmp_path):
    rng = np.random.default_rng(0)
    cells = [
        MadeCell(
            [[r for n in IDS for r in curve_rows(n, lerf=level + 0.1 * rng.random(), random=0.3)]],
            command="lerf",
            saliency=name,
        )
        for name, level in (("cam", 0.8), ("gradient", 0.6))
    ]
    merged, (table,) = compared(made_run(tmp_path / "a", *cells), metrics=["auc_lerf", "lerf_to_full"])
    for i, cell in enumerate(merged.cells):
        wanted = score_cell(read_images(merged.rows, cell.keys)).numbers
        assert table.numbers[i, "auc_lerf"].value == wanted["auc_lerf"].value
        ratio = wanted["lerf_to_full"]
        found = table.numbers[i, "lerf_to_full"]
        assert (found.value, found.low, found.high) == (ratio.value, ratio.low, ratio.high)
    assert table.bold("auc_lerf") == table.bold("lerf_to_full") == 0


def test_plain_measures_of_boxes_in_their_stratum(tmp_path):
    big = [row for n in IDS[:6] for row in made_up(n, right=[(0.1, 0.9)], boxes=((0, 0, 1, 1),))]
    rows = [*big, *(row for n in IDS[6:] for row in made_up(n, right=[(0.1, 0.9)], top=(0, 1)))]
    path = made_run(tmp_path / "a", MadeCell([rows]), MadeCell([rows], saliency="ig"))
    _, (small, every) = compared(path, metrics=["top1"])
    assert (small.numbers[0, "top1"].value, small.numbers[0, "top1"].n) == (0, 18)
    assert (every.numbers[0, "top1"].value, every.numbers[0, "top1"].n) == (0.25, 24)
    assert every.lead is None
    assert verdict(every) == "top1: neither high nor low is better, nothing is ranked."


def test_names_of_metrics(tmp_path):
    path = made_run(tmp_path / "a", boxes("cam", 0.1), boxes("ig", 0.1))
    other = made_run(tmp_path / "b", regions("nas"), regions("slic"))
    merged = merge_runs([path, other])
    measured = measure(merged)
    assert {"box_acc_mean", "box_acc@0.70", "top1", "object_iou"} <= set(metric_names(measured))
    assert "box@0.50" not in metric_names(measured)
    tables = compare(merged, measured, metrics=["object_iou"])
    assert [table.command for table in tables] == ["segment"]


@pytest.mark.parametrize("seed", range(20))
def test_holm_by_intervals_is_holm_by_p(seed):
    """`_adjusted` with what an interval at a level says, against the adjustment of p-values."""
    p = np.random.default_rng(seed).beta(0.3, 4, size=6)

    class Ranked:
        def __init__(self, value):
            self.numbers, self.value = {0: None, 1: None}, value

        def lead(self, level):
            return Interval(1.0, 1.0 if self.value <= 1 - level else -1.0, 2.0, 24)

    ranked: Any = {str(i): Ranked(value) for i, value in enumerate(p)}
    told = comparison._adjusted(ranked)
    assert told == {str(i) for i, value in enumerate(holm(list(p))) if value <= 0.05}


def test_the_same_bytes_whatever_is_named_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_run(tmp_path / "a", boxes("cam", 0.1), boxes("cam", 0.2, segmenter="nas"))
    made_run(tmp_path / "b", boxes("ig", 0.3), boxes("cam", 0.1))
    made_run(tmp_path / "c", regions("nas", 0.1), regions("slic"))
    made = []
    for names in ("abc", "cba", "bcab"):
        merged, tables = compared(*(tmp_path / name for name in names))
        texts = [comparison_text(merged, tables), comparison_md(merged, tables)]
        made.append([*texts, comparison_csv(tables), comparison_tex(tables)])
    assert made[0] == made[1] == made[2]


def test_the_csv_says_all(tmp_path):
    _, tables = compared(made_run(tmp_path / "a", regions("nas", 0.1), regions("slic")))
    best, second = csv.DictReader(io.StringIO(comparison_csv(tables)))
    assert (best["segmenter"], best["best"], best["to_best"], best["n95"]) == ("nas", "1", "", "2")
    assert (second["segmenter"], second["best"], second["n_common"], second["n95"]) == ("slic", "0", "24", "")
    assert float(second["to_best"]) == pytest.approx(-0.1)


def test_tables_for_people(tmp_path):
    merged, tables = compared(made_run(tmp_path / "a", regions("nas", 0.1), regions("slic")))
    value = f"{0.6 + NOISE.mean():.3f}"
    assert f" *{value} │" in comparison_text(merged, tables)
    assert f"| nas | **{value}** [" in comparison_md(merged, tables)
    assert rf"nas & \textbf{{{value}}} {{\scriptsize [" in comparison_tex(tables)
    assert verdicts(tables) == [verdict(tables[0])]


SPECIAL = r"a_b%c&d#e$f{g}h^i~j\k<l>m|n"


def test_latex_escapes_every_special_character():
    assert escaped("resnet50_v2 95 %") == r"resnet50\_v2 95 \%"
    assert escaped("×−—") == r"$\times$$-$---"
    assert escaped("é\t漢") == "é [U+6F22]"
    said = escaped(SPECIAL)
    # Read as TeX would: commands and escapes go, and nothing of meaning is left.
    bare = said
    for command in (
        "textbackslash",
        "textasciicircum",
        "textasciitilde",
        "textless",
        "textgreater",
        "textbar",
    ):
        bare = bare.replace(f"\\{command}{{}}", "")
    for character in "_%&#${}":
        bare = bare.replace(f"\\{character}", "")
    assert bare == "abcdefghijklmn"


def test_latex_rows_have_as_many_cells_as_columns(tmp_path):
    more = {"over": {"scale": [1, 2]}}
    cells = [boxes(SPECIAL, 0.1, more=more), boxes("cam", 0.2, more={"over": {"scale": [3]}})]
    _, tables = compared(made_run(tmp_path / "a", *cells), by=["over.scale", "saliency"])
    text = comparison_tex(tables)
    assert text.startswith(r"% Needs \usepackage{booktabs}")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    unescaped = text.replace(r"\{", "").replace(r"\}", "")
    assert unescaped.count("{") == unescaped.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2 * 3
    assert {row.replace(r"\&", "").count("&") for row in rows} == {6}
    # A bracket at a row's start would be an argument of the row above.
    assert any(row.startswith("{}[1 2] & ") for row in rows)
    assert text.isascii()


def test_the_plot(tmp_path):
    cells = [boxes("cam", 0.1), boxes("cam", 0.3, segmenter="nas"), boxes("ig", 0.5)]
    _, tables = compared(made_run(tmp_path / "a", *cells))
    drawn = differences_plot(tables)
    assert set(drawn) == {"svg", "png"}
    assert drawn["png"].startswith(b"\x89PNG")
    assert b"<svg" in drawn["svg"]
    assert differences_plot(tables) == drawn
