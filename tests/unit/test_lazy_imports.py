"""Starting is cheap: nothing heavy is loaded before it is used."""

import subprocess
import sys

import pytest

HEAVY = (
    "ccxt",
    "numba",
    "numpy",
    "pandas",
    "pandas_ta",
    "pandas_ta_classic",
    "plotly",
    "pyarrow",
    "talib",
)
REPORT = f"import sys; print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"


def heavy_modules_after(code: str) -> str:
    """Run `code` in a new interpreter and return the heavy modules that it loaded, as a printed list."""
    command = [sys.executable, "-c", f"import atexit\natexit.register(lambda: exec({REPORT!r}))\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import metaexpert",
        "import metaexpert; dir(metaexpert); metaexpert.__version__",
        "from metaexpert import ConfigError, Order, Side",
        "import metaexpert.config",
        "import sys; sys.argv = ['metaexpert', '--help']; from metaexpert.__main__ import main; main()",
        "import sys; sys.argv = ['metaexpert', '--version']; from metaexpert.__main__ import main; main()",
        "import metaexpert.exchanges.gateway",
        "import metaexpert.exchanges.lookup",
        "import sys; sys.argv = ['metaexpert', 'exchanges']; from metaexpert.__main__ import main; main()",
        "import sys; sys.argv = ['metaexpert', 'doctor', 'okx']; from metaexpert.__main__ import main; main()",
        "import sys; sys.argv = ['metaexpert', 'new', '--help']; from metaexpert.__main__ import main; main()",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert heavy_modules_after(code) == "[]"


def test_a_heavy_module_would_be_seen():
    assert heavy_modules_after("import metaexpert, numpy") == "['numpy']"
