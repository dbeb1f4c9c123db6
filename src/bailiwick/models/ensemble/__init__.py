"""Ensembles: several models that answer as one version."""
