"""`python -m service.entrypoints.cli`: the command where the console script is not installed."""

from service.entrypoints.cli import main

if __name__ == "__main__":
    main()
