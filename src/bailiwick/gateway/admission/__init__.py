"""Who is let in to the gateway now, and how much."""
