"""Runs: a plan of cells becomes tasks, an engine runs them, the store keeps their units.

A *cell* is one resolved configuration. A *unit* is a cell × 32 consecutive samples of the data set's
order: one immutable file, and what resumes. A *task* is those 32 samples × all cells still missing, so
that a sweep forwards each image once.
"""

SCHEMA = 2
