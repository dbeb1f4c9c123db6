"""What may be released about people, at what cost, and what has been spent of it."""
