"""Model versions and their artefacts."""
