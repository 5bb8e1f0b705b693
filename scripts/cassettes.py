"""Records the cassettes anew: all from the venue, with `--live` the public ones from the real exchanges."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
os.environ.pop("METAEXPERT_OFFLINE", None)

import tapes

if __name__ == "__main__":
    if unknown := [word for word in sys.argv[1:] if word != "--live"]:
        sys.exit(f"cassettes: {unknown[0]!r} is not known: there is --live")
    tapes.main(live="--live" in sys.argv)
