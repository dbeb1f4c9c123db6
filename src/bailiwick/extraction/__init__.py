"""From files to graph elements with lineage and provenance."""
