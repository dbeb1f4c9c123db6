"""The knowledge graph: assets, relations and their tags."""
