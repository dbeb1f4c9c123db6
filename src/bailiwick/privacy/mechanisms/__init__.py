"""Private mechanisms, one technique per file; noise comes from OpenDP only."""
