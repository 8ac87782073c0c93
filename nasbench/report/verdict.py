"""The sentences that a report leads with, and what a reader has to know of the runs behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nasbench.report.comparison import STRATA, Ranking, Table
from nasbench.report.localisation import RESAMPLES
from nasbench.report.merged import Merged
from nasbench.report.relevance_scores import RATIOS
from nasbench.statistics.bootstrap import FEWEST, Interval


def verdict(table: Table) -> str:
    """For the two best lines in the leading column: by how much, and whether that can be told."""
    leading, ranking = table.columns[0], table.lead
    labels = [line.label for line in table.pivot.lines]
    if ranking is None:
        if len(labels) > 1 and int(leading.better) == 0:
            return f"{leading.name}: neither high nor low is better, nothing is ranked."
        return f"no images have {leading.name} in all lines: nothing compares."
    if ranking.lead is None:
        (only,) = ranking.order
        said = leading.value(table.numbers[only, leading.name].value)
        unit = " per cent" if leading.share else ""
        return f"{labels[only]} has {leading.name} {said}{unit}; there is no other line to compare it with."
    first, second = (labels[i] for i in ranking.order[:2])
    lead = ranking.lead
    unit = " points" if leading.share else ""
    if lead.value == 0:
        span = leading.span(lead.low, lead.high)
        said = f"{first} and {second} are level in {leading.name}, {leading.value(0.0)}{unit} {span}".rstrip()
        return f"{said} on {_images(ranking.n)}: not told apart."
    by = f"by {leading.value(_gap(lead))}{unit} {_span(table, ranking)}".rstrip()
    return f"{first} leads {second} in {leading.name} {by} on {_images(ranking.n)}: {_told(table, ranking)}."


def _gap(lead: Interval) -> float:
    """The lead as a distance: of a number that is better when lower, too."""
    return abs(lead.value or 0.0)


def _span(table: Table, ranking: Ranking) -> str:
    lead, leading = ranking.lead, table.columns[0]
    if lead is None or lead.low is None or lead.high is None:
        return ""
    sign = -1 if int(leading.better) < 0 else 1
    low, high = sorted((sign * lead.low, sign * lead.high))
    return leading.span(low, high)


def _told(table: Table, ranking: Ranking) -> str:
    assert ranking.lead is not None
    if ranking.n < FEWEST:
        return f"not told apart, which takes at least {FEWEST} images"
    such = "such images" if table.stratum == "small" else "images"
    if ranking.lead.excludes_zero:
        alone = ", by itself and not with the table's other columns taken together (Holm)"
        enough = "" if ranking.n95 is None else f"; n95 is about {ranking.n95} {such} (power 0.8)"
        return f"told apart{'' if ranking.significant else alone}{enough}"
    if ranking.n95 is None:
        return "not told apart"
    return f"not told apart; about {ranking.n95} {such} would tell (n95, power 0.8)"


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def verdicts(tables: Sequence[Table]) -> list[str]:
    """One sentence for each table, which it names if there are several."""
    named = len(tables) > 1
    return [f"{_capital(table.title)}: {verdict(table)}" if named else verdict(table) for table in tables]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def caption(table: Table, mark: str = "in bold") -> list[str]:
    """What a table's numbers are, one sentence each; `mark` says how the best is marked."""
    of = "images and " + ", ".join(table.pivot.over) if table.pivot.over else "images"
    shares = ", shares in per cent" if any(column.share for column in table.columns) else ""
    networks = " and networks" if _several_models(table) else ""
    said = [f"Means over {of}{shares}, with 95 % bootstrap intervals over images{networks}."]
    if table.pivot.over:
        said.append("A mean is over the images that all cells of its line have.")
    ratios = [column.name for column in table.columns if column.name in RATIOS]
    if ratios:
        said.append(f"Ratios of means: {', '.join(ratios)}.")
    if table.command == "wsol":
        said.append(_thresholds(table))
    lower = [column.name for column in table.columns if int(column.better) < 0]
    if lower:
        said.append(f"Lower is better: {', '.join(lower)}.")
    ranked = {ranking.n for ranking in table.rankings.values() if ranking.lead is not None}
    if ranked:
        n = str(max(ranked)) if len(ranked) == 1 else f"{min(ranked)} to {max(ranked)}"
        said.append(
            f"Best {mark} where its paired difference to the second, on the {n} images that all lines have, "
            f"has an interval that excludes 0{_together(len(table.rankings))}."
        )
    return [*said, *_common(table)]


def _thresholds(table: Table) -> str:
    metric = table.pivot.lines[0].cells[0].config["metric"]
    rule = metric.get("threshold")
    fitted = f"fitted anew in each of {RESAMPLES} resamples"
    if rule is None:
        return f"Thresholds are the best on these very images, {fitted}."
    return f"Thresholds: {rule}{', ' + fitted if rule == 'crossfit' else ''}."


def _together(columns: int) -> str:
    return "" if columns == 1 else f", at 5 % for the {columns} columns together (Holm)"


def _several_models(table: Table) -> bool:
    return any(len({str(cell.config.get("model")) for cell in line.cells}) > 1 for line in table.pivot.lines)


def notes(merged: Merged, tables: Sequence[Table]) -> list[str]:
    """Partial runs, other library versions, cells without rows, and images without numbers."""
    return [*_partial(merged), *_versions(merged), *_missed(tables)]


def _partial(merged: Merged) -> Iterable[str]:
    for run in merged.runs:
        said = run.manifest
        if len(run.finished) < len(said.keys):
            status = "" if said.status == "complete" else f" (status {said.status})"
            yield f"{run.name}: {len(run.finished)} of {len(said.keys)} blocks{status}"
        with_rows = {unit.cell for unit in said.units if unit.key in run.finished}
        for i in sorted({unit.cell for unit in said.units} - with_rows):
            yield f"{run.name}: nothing yet of {' + '.join(said.cells[i].choices.values())}"


def _versions(merged: Merged) -> Iterable[str]:
    libraries = sorted({name for run in merged.runs for name in run.manifest.versions})
    for name in libraries:
        found: dict[str, list[str]] = {}
        for run in merged.runs:
            found.setdefault(run.manifest.versions.get(name, "none"), []).append(run.name)
        if len(found) > 1:
            told = ", ".join(f"{version} ({' '.join(runs)})" for version, runs in sorted(found.items()))
            yield f"{name} differs: {told}; last bits of the numbers may"


def _missed(tables: Sequence[Table]) -> Iterable[str]:
    for table in tables:
        found: dict[int, list[str]] = {}
        for i, count in table.missed.items():
            found.setdefault(count, []).append(table.pivot.lines[i].label)
        for count, labels in sorted(found.items()):
            where = labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more"
            yield f"{where}: {count} × no {table.columns[0].name} ({table.title})"


def _common(table: Table) -> Iterable[str]:
    ranking, name = table.lead, table.columns[0].name
    sizes = {number.n for (_, column), number in table.numbers.items() if column == name}
    if ranking is not None and ranking.lead is not None and sizes != {ranking.n}:
        yield (
            f"Lines have {min(sizes)} to {max(sizes)} images, {ranking.n} in common: their order and all "
            "differences are of these."
        )


def stratum_name(table: Table) -> str:
    """What a file calls the images of a table."""
    return table.stratum if table.stratum in STRATA else "all"
