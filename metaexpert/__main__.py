"""`python -m metaexpert`, and what the `metaexpert` command calls."""

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
