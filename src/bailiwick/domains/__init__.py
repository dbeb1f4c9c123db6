"""What a domain is, its revisions and its lifecycle."""
