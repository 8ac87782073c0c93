"""The gate: figures of a suite's runs, held against those of a baseline."""
