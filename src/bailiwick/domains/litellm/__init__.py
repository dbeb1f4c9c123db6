"""Configurations of LiteLLM's proxy, read as domains."""
