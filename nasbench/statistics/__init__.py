"""Statistics: intervals, paired tests, sample sizes, agreement, ranks; arrays in, frozen dataclasses out.

What each number is, where it comes from and when it misleads is in `docs/statistics.md`; whether the
intervals keep their coverage, in `results/benchmarks/coverage.md`. Whoever calls says what is an image;
nothing here knows a run, a metric or a file.
"""
