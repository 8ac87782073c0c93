"""From made-up rows of `nasbench leRF` to its report: numbers, intervals, who ranks with whom, pictures."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from nasbench.faithfulness.areas import ratio_of_means
from nasbench.report.relevance_groups import groups_of
from nasbench.report.relevance_images import GRID, _counts, read_images
from nasbench.report.relevance_plots import relevance_plots
from nasbench.report.relevance_scores import RATIOS, best, leads, ranked, score_cell
from nasbench.report.relevance_tables import relevance_csv, relevance_md, relevance_text, relevant
from nasbench.run.store import RunFolder
from tests.support.cli import call
from tests.support.lerf import LATTICE, Cell, curve_rows, lattice_rows

IDS = [f"image-{i:03d}" for i in range(40)]
K = {"segmenter.k": 6}


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").opened(fresh=False) as opened:
        yield opened


def write(folder, key, images):
    folder.write_rows(key, [row for rows in images for row in rows])


def scored(folder, images, key="k"):
    write(folder, key, images)
    return score_cell(read_images(folder, [key, "not there yet"]))


def said_of(folder, cells, *images):
    for i, of_cell in enumerate(images):
        write(folder, f"k{i}", of_cell)
    return relevant(folder, cells, [(i, f"k{i}") for i in range(len(images))])


def lines(said, **wanted):
    found = csv.DictReader(io.StringIO(relevance_csv(said)))
    return [line for line in found if all(line[key] == value for key, value in wanted.items())]


def test_means_differences_and_counts_by_hand(folder):
    images = [curve_rows("a", 0.8, 0.2, 0.5), curve_rows("b", 0.6, 0.4, 0.5, full=0.52, empty=0.5, correct=0)]
    found = scored(folder, images).numbers
    values = {name: number.value for name, number in found.items()}
    expected = {
        "auc_lerf": 0.7, "auc_morf": 0.3, "auc_random": 0.5, "srg": 0.4, "lerf_over_random": 0.2,
        "morf_under_random": 0.2, "full": 0.76, "empty": 0.25, "correct": 0.5, "small_gaps": 1,
        # Ratios of means: (.7 − .25) / (.76 − .25), not means of ratios.
        "auc_lerf_norm": 45 / 51, "auc_morf_norm": 5 / 51, "auc_random_norm": 25 / 51, "srg_norm": 40 / 51,
        "lerf_to_full": 20 / 26, "morf_to_empty": 20 / 25,
    }  # fmt: skip
    assert values == pytest.approx(expected)
    assert {(number.n, number.n_failed) for number in found.values()} == {(2, 0)}


def test_ratios_are_recomputed_in_each_resample(folder):
    rng = np.random.default_rng(0)
    parts = {name: rng.uniform(0.2, 0.8, 40) for name in ("lerf", "morf", "random")}
    ends = {"full": rng.uniform(0.7, 1, 40), "empty": rng.uniform(0, 0.3, 40)}
    images = [
        curve_rows(name, *(parts[p][i] for p in parts), full=ends["full"][i], empty=ends["empty"][i])
        for i, name in enumerate(IDS)
    ]
    found = scored(folder, images)
    counts = _counts(tuple((name, 0) for name in IDS))
    assert counts.shape == (1000, 40)
    assert (counts.sum(axis=1) == 40).all()

    def slow(area, start, end):
        return np.array([ratio_of_means(area, start, end, weights=w).value for w in counts])

    norm = {name: slow(parts[name], start=ends["full"], end=ends["empty"]) for name in parts}
    twins = {
        "auc_lerf_norm": norm["lerf"],
        "auc_random_norm": norm["random"],
        "srg_norm": norm["lerf"] - norm["morf"],
        "lerf_to_full": slow(parts["lerf"], ends["full"], parts["random"]),
        "morf_to_empty": 1 - slow(parts["morf"], parts["random"], ends["empty"]),
    }
    for name, drawn in twins.items():
        number = found.numbers[name]
        assert (number.low, number.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975]))), name


def test_an_interval_is_that_of_a_plain_bootstrap(folder):
    values = np.random.default_rng(1).uniform(0, 1, 40)
    found = scored(folder, [curve_rows(n, v) for n, v in zip(IDS, values, strict=True)]).numbers["auc_lerf"]
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.012)


def test_no_ratio_where_full_images_score_no_higher_than_empty_ones(folder):
    found = scored(folder, [curve_rows(name, full=0.3, empty=0.4) for name in IDS]).numbers
    assert found["auc_lerf_norm"].value is None
    assert found["auc_lerf"].value == pytest.approx(0.8)
    # A gap that some resamples have not gives a value, and no interval.
    mixed = [curve_rows(n, full=1.0 if i < 22 else 0.0, empty=0.5) for i, n in enumerate(IDS)]
    found = scored(folder, mixed, "mixed").numbers["auc_lerf_norm"]
    assert found.value == pytest.approx(0.3 / 0.05)
    assert (found.low, found.high) == (None, None)


def test_images_with_several_classes_are_drawn_whole(folder):
    images = [curve_rows(name, target=c) for name in IDS for c in (1, 2)]
    found = scored(folder, images)
    assert found.numbers["srg"].n == 80
    counts = _counts(found.images.keys)
    assert np.array_equal(counts[:, ::2], counts[:, 1::2])


def test_cells_with_the_same_images_are_paired(folder):
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, 40)
    worse = scored(folder, [curve_rows(n, 0.5 + e) for n, e in zip(IDS, noise, strict=True)], "worse")
    better = scored(folder, [curve_rows(n, 0.53 + e) for n, e in zip(IDS, noise, strict=True)], "better")
    first, second = (one.numbers["auc_lerf"] for one in (worse, better))
    assert second.low < first.high, "apart they overlap"
    assert leads("auc_lerf", better.images, worse.images)
    assert not leads("auc_lerf", worse.images, better.images)
    assert leads("lerf_to_full", better.images, worse.images)
    cells = {0: worse, 1: better}
    assert best("auc_lerf", cells) == 1
    assert best("auc_morf", cells) is None, "equal ones"
    assert ranked("auc_lerf", cells) == [1, 0]


def test_pairs_are_of_the_images_that_both_have(folder):
    # Where both have them the first is worse; its mean is higher by images that the second lacks.
    first = scored(folder, [curve_rows(n, 0.4 if i < 20 else 0.9) for i, n in enumerate(IDS)], "first")
    second = scored(folder, [curve_rows(n, 0.5) for n in IDS[:20]], "second")
    assert ranked("auc_lerf", {0: second, 1: first}) == [1, 0]
    assert best("auc_lerf", {0: second, 1: first}) is None
    assert leads("auc_lerf", second.images, first.images)
    other = scored(folder, [curve_rows(f"other-{n}", 0.1) for n in IDS], "other")
    assert not leads("auc_lerf", second.images, other.images)


def test_lower_is_better_of_morf_and_few_images_prove_nothing(folder):
    low, high = (
        scored(folder, [curve_rows(n, morf=m) for n in IDS[:6]], key) for key, m in (("l", 0.1), ("h", 0.2))
    )
    assert best("auc_morf", {0: high, 1: low}) == 1
    assert best("auc_morf_norm", {0: high, 1: low}) == 1
    few = [scored(folder, [curve_rows(n, morf=m) for n in IDS[:5]], f"few{m}") for m in (0.1, 0.2)]
    assert best("auc_morf", dict(enumerate(few))) is None
    assert best("auc_morf", {0: low}) is None


def titles(cells):
    return {group.title: list(group.labels.values()) for group in groups_of(cells)}


def test_cells_that_remove_the_same_share_a_ranking():
    cells = [Cell(), Cell("ig"), Cell(segmenter="nas"), Cell("ig", "nas"), Cell(segmenter="slic")]
    assert titles(cells) == {
        "pixels": ["cam", "ig"],
        "regions of nas": ["cam", "ig"],
        "regions of slic": ["cam"],
    }
    # By pixel a map over regions ranks with those without.
    by_pixel = [Cell(segmenter=s, more={"units": u}) for s in ("none", "nas") for u in ("pixel", "patch")]
    assert titles(by_pixel) == {"pixels": ["cam", "cam nas"], "patches of 16 × 16 pixels": ["cam", "cam nas"]}


def test_other_numbers_of_regions_networks_and_scores_are_other_groups():
    def of_k(k, **more):
        config = {"segmenter": {"name": "nas", "k": k}, **more}
        swept = {"segmenter.k": k, **({"randomise": more["randomise"]} if "randomise" in more else {})}
        return Cell(segmenter="nas", swept=swept, more=config)

    assert titles([of_k(5), of_k(10), of_k(5, randomise=0), of_k(5, randomise=1)]) == {
        "regions of nas, k=5": ["cam", "cam randomise=0", "cam randomise=1"],
        "regions of nas, k=10": ["cam"],
    }
    assert list(titles([Cell(), Cell(model="other")])) == ["pixels, model m", "pixels, model other"]
    logits = {**Cell().metric, "score": "logit"}
    scores = [
        Cell(swept={"metric.score": "probability"}),
        Cell(metric=logits, swept={"metric.score": "logit"}),
    ]
    assert list(titles(scores)) == ["pixels, score=probability", "pixels, score=logit"]
    both = [Cell(segmenter="nas"), Cell(segmenter="nas", metric=LATTICE)]
    assert list(titles(both)) == ["regions of nas, metric curves", "regions of nas, metric lattice"]


def three_groups(folder):
    """Pixels with a clear best and a second, regions alone, and a lattice."""
    cells = [
        Cell(),
        Cell("ig"),
        Cell(segmenter="nas", swept=K),
        Cell(segmenter="nas", metric=LATTICE, swept=K),
    ]
    of_cells = [
        [curve_rows(n, 0.6) for n in IDS],
        [curve_rows(n, 0.8) for n in IDS],
        [curve_rows(n, 0.95, random=0.9, regions=6) for n in IDS],
        [lattice_rows(n) for n in IDS],
    ]
    return said_of(folder, cells, *of_cells)


def test_tables_rank_within_a_group_and_across_by_the_null_only(folder):
    said = three_groups(folder)
    text, page = relevance_text(said), relevance_md(said)
    assert text.index("pixels, metric curves (n = 40)") < text.index(
        "regions of nas, k=6, metric curves (6 an"
    )
    assert text.index("│ ig ") < text.index("│ cam ")
    assert "*0.800" in text
    assert "*0.950" not in text, "alone is not better"
    assert "## Regions of nas, k=6, metric lattice (6 an image, n = 40)" in page
    assert "| ig | **0.800** [0.800, 0.800] | 0.200" in page
    across = page.split("## Across")[1].split("##")[0]
    # .3 of .5 is more of the way than .05 of .1, though less than its area says.
    names = ("ig curves", "cam nas curves", "cam curves")
    order = [across.index(f"| {name}") for name in names]
    assert order == sorted(order)
    assert "0.950" not in across, "no areas"
    assert "**0.600**" in across
    assert "Areas of different units" in page
    assert "Areas of different units" in text
    assert max(map(len, text.splitlines())) <= 120
    assert "Areas of all orders of an image's regions: 0.500 in the mean, from 0.100 to 0.900." in page


def test_one_group_says_nothing_of_others(folder):
    said = said_of(folder, [Cell()], [curve_rows(n) for n in IDS])
    assert "Across" not in relevance_text(said) + relevance_md(said)


def test_the_table_has_a_line_for_each_column(folder):
    said = three_groups(folder)
    header, *rows = relevance_csv(said).splitlines()
    assert (
        header
        == "model,dataset,saliency,segmenter,imputer,segmenter.k,metric,column,value,low,high,n,n_failed"
    )
    assert rows == sorted(rows)
    (one,) = lines(said, saliency="ig", column="lerf_over_random")
    assert (one["value"], one["n"], one["n_failed"]) == ("0.3", "40", "0")
    assert lines(said, metric="lattice", column="regret_lerf")[0]["value"] == "0.8"
    assert not lines(said, column="lattice")
    plain = said_of(folder, [Cell()], [curve_rows(n) for n in IDS])
    assert ",metric," not in relevance_csv(plain).splitlines()[0]
    assert {line["column"] for line in lines(plain)} >= {*RATIOS, "auc_lerf", "small_gaps", "correct"}


def test_what_is_left_out_or_says_little_is_counted(folder):
    images = [curve_rows(n) for n in IDS[:20]]
    images += [curve_rows(n, failed="the map holds NaN") for n in IDS[20:28]]
    images += [curve_rows(n, failed="wrong", status="skipped") for n in IDS[28:31]]
    images += [curve_rows(n, fault="constant") for n in IDS[31:35]]
    images += [curve_rows(n, correct=0, without=("srg",)) for n in IDS[35:37]]
    images += [curve_rows(n, full=0.52, empty=0.5) for n in IDS[37:]]
    said = said_of(folder, [Cell()], images)
    for text in (relevance_text(said), relevance_md(said)):
        assert "cam: 8 × the map holds NaN" in text
        assert "cam: 3 × wrong" in text
        assert "cam: 2 × no srg: no meaning" in text
        assert "cam: 4 × constant map" in text
        assert "cam: 2 × the class is not the network's first guess" in text
        assert "cam: 3 × |full − empty| below 0.05" in text
    by_column = {line["column"]: (line["n"], line["n_failed"]) for line in lines(said)}
    assert by_column["auc_lerf"] == ("29", "11")
    assert by_column["srg"] == ("27", "13")


def test_a_measure_without_meaning_for_a_cell_is_not_there(folder):
    said = said_of(folder, [Cell()], [curve_rows(n, without=("srg",)) for n in IDS])
    assert not lines(said, column="srg")
    assert "no meaning" not in relevance_text(said)


def test_exact_and_sampled_orders_do_not_share_a_column(folder):
    images = [lattice_rows(n, 0.75) for n in IDS[:30]]
    images += [lattice_rows(n, 0.25, regions=12, sampled=True) for n in IDS[30:]]
    said = said_of(folder, [Cell(segmenter="nas", metric=LATTICE, swept=K)], images)
    (exact,), (sampled,) = (lines(said, column=f"{name}percentile_lerf") for name in ("", "sampled_"))
    assert (exact["value"], exact["n"], exact["n_failed"]) == ("0.75", "30", "10")
    assert (sampled["value"], sampled["n"], sampled["n_failed"]) == ("0.25", "10", "30")
    text = relevance_text(said)
    assert "30 + 10 sampled" in text
    assert "7.5 an image" in text
    assert "10 × regions too many for all their orders" in text
    assert "12 regions" not in text
    assert set(relevance_plots(said)) == {"svg", "png"}


def test_mean_curves_are_those_of_the_images(folder):
    kinked = [0.0, 1.0, 0.25, 0.8, 1.0, 0.0]
    straight = [0.0, 0.6, 1.0, 0.2]
    images = [curve_rows("a"), curve_rows("b")]
    for rows, curve in zip(images, (kinked, straight), strict=True):
        rows[0] = type(rows[0])(**{**vars(rows[0]), "curve": curve})
    band = scored(folder, images).bands["lerf"]
    assert band.mean[25] == pytest.approx((0.8 + 0.5) / 2)
    assert band.mean[[0, -1]] == pytest.approx([0.8, 0.1])
    # Of two images a resample is one, the other, or both.
    assert (band.low[25], band.high[25]) == pytest.approx((0.5, 0.8))
    assert np.trapezoid(band.mean, GRID) == pytest.approx((0.25 * 0.9 + 0.75 * 0.4 + 0.4) / 2, abs=1e-6)


def test_a_partial_run_is_reported(folder):
    write(folder, "there", [curve_rows(n) for n in IDS[:32]])
    cells = [Cell(), Cell("ig")]
    said = relevant(folder, cells, [(0, "there"), (0, "not yet"), (1, "neither")])
    assert lines(said, saliency="cam", column="srg")[0]["n"] == "32"
    assert not lines(said, saliency="ig")
    assert "n = 0 to 32" in relevance_text(said)
    assert "| ig |" in relevance_md(said)
    assert set(relevance_plots(said)) == {"svg", "png"}


def test_where_all_failed_there_are_lines_and_no_picture(folder):
    said = said_of(folder, [Cell(), Cell("ig")], *([curve_rows(n, failed="no") for n in IDS],) * 2)
    assert {(line["value"], line["n"], line["n_failed"]) for line in lines(said)} == {("", "0", "40")}
    assert "cam and 1 more: 40 × no" in relevance_text(said)
    assert "—" in relevance_md(said)
    assert relevance_plots(said) == {}


def test_one_image_has_values_and_no_intervals(folder):
    said = said_of(folder, [Cell()], [curve_rows("a", target=c) for c in (1, 2)])
    (line,) = lines(said, column="auc_lerf_norm")
    assert (line["value"], line["low"], line["high"], line["n"]) == ("0.8", "", "", "2")
    assert set(relevance_plots(said)) == {"svg", "png"}


def test_crowded_figures_say_what_is_not_drawn(folder):
    cells = [Cell(f"s{i}", swept={"patch": p}, more={"units": "patch", "patch": p})
             for p in range(7) for i in range(9 if p == 0 else 1)]  # fmt: skip
    said = said_of(
        folder, cells, *[[curve_rows(n, 0.5 + i / 50) for n in IDS[:3]] for i in range(len(cells))]
    )
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "supxlabel", lambda _, text, **__: texts.append(text))
        assert relevance_plots(said)
    (text,) = texts
    assert text.startswith(
        "Not drawn: cells beyond the 8 best of a panel (1) and groups beyond the first 6 (1);"
    )


def test_the_same_rows_give_the_same_bytes(folder):
    def everything():
        _counts.cache_clear()
        said = three_groups(folder)
        return relevance_csv(said), relevance_md(said), relevance_text(said), relevance_plots(said)

    first, second = everything(), everything()
    assert first == second
    assert b"<dc:date>" not in first[3]["svg"]


def test_a_whole_run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = [
        "lerf", "model=timm", "model.name=test_resnet", "model.weights=random", "model.input_size=64",
        "dataset=rendered", "dataset.n=12", "dataset.size=64", "saliency=cam,centre",
        "segmenter=nas", "segmenter.k=4", "target=prediction", "metric=curves,lattice", "--limit", "3",
    ]  # fmt: skip
    names = ("summary.csv", "relevance.csv", "relevance.md", "relevance.svg", "relevance.png")
    kept = []
    for place in ("one", "two"):
        result = call(capsys, monkeypatch, *run, "--out", place)
        assert result.code == 0, result.err
        kept.append([(tmp_path / place / name).read_bytes() for name in names])
        assert "relevance.csv" in result.out
    assert kept[0] == kept[1]
    with (tmp_path / "one" / "relevance.csv").open() as file:
        found = {(r["saliency"], r["metric"], r["column"]): r for r in csv.DictReader(file)}
    with (tmp_path / "one" / "summary.csv").open() as file:
        for row in csv.DictReader(file):
            mine = found.get((row["saliency"], "lattice", row["metric"]))
            if mine is not None and row["metric"].startswith(("regret", "percentile")):
                assert float(mine["value"]) == pytest.approx(float(row["value"]))
    area = found["cam", "curves", "auc_lerf"]
    assert float(area["low"]) <= float(area["value"]) <= float(area["high"])
    # Exact: curves and lattice of the same map have one area.
    assert float(area["value"]) == pytest.approx(
        float(found["cam", "lattice", "auc_lerf"]["value"]), abs=1e-5
    )
