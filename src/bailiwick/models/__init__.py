"""Model families: train, predict, save, load."""
