"""Keys of clients of the gateway, their limits, and what they used."""
