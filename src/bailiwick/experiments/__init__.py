"""Experiments: model versions compared on live traffic, with a verdict one may trust however often one looks."""
