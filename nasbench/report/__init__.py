"""Reports: tables, intervals and pictures from a run's folder.

A report reads the store only; it never opens a data set or a model.
"""
