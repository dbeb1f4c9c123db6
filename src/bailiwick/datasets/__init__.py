"""Versioned sets of labelled texts and their splits."""
