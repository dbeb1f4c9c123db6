"""SQL and Hive DDL text into facts: definitions in a first pass, column lineage in a second, with the whole schema."""

from bailiwick.extraction.sql.reader import read_definitions, read_statements

__all__ = ["read_definitions", "read_statements"]
