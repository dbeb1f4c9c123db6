"""Where this installation may connect to."""
