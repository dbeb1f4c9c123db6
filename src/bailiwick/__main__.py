"""`python -m bailiwick` runs the command line."""

from bailiwick.cli.main import run

if __name__ == "__main__":
    run()
