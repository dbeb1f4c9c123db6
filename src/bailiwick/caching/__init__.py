"""Answers kept for the same question asked again, exactly or nearly."""
