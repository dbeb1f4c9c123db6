"""Pure mathematics: intervals, losses, tests. No I/O."""
