"""The tables of experiments and their queries, one module per kind of row."""
