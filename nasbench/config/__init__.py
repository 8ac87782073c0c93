"""Configuration: Hydra groups in `configs/`, overrides from the command line, sweeps into cells.

Hydra composes once, in the main thread; everything downstream receives plain dictionaries. A new choice
of a group is one YAML in `configs/<group>`, with a typed schema in `schema.py` if its keys are to be
checked before anything heavy is imported.
"""
