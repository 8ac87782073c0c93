"""`python -m nasbench`."""

from nasbench.cli import main

main()
