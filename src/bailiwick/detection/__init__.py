"""From text and assets to the domain they belong to."""
