"""The checkout as people meet it: the two commands, the lock, and what the wheel carries."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from metaexpert import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = ("scripts/install", "scripts/demo", "scripts/test", ".ci/run")

posix = pytest.mark.skipif(
    os.name == "nt", reason="the scripts are for POSIX shells; the README gives Windows' lines"
)

# Stands in for Python: answers what scripts/install asks, makes "environments" of itself, and logs installations.
FAKE_PYTHON = """#!/bin/sh
[ -z "${PYTHONPATH:-}${PYTHONHOME:-}" ] || { echo "leaked: PYTHONPATH" >>"$LOG"; exit 1; }
case "$*" in
    *base_prefix*) echo "/usr 3 13 0" ;;
    *"import ensurepip, venv"* | *"import pip"*) [ -z "${BARE:-}" ] ;;
    *ensurepip*) exit 1 ;;
    *"-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "venv" >>"$LOG" ;;
    *"pip install"*) echo "pip ${*##* }" >>"$LOG"; [ "${FAIL:-}" != "${*##* }" ] ;;
    --version) echo "Python 3.13.0" ;;
    *) echo "unexpected: $*" >>"$LOG"; exit 1 ;;
esac
"""
FAKE_UV = """#!/bin/sh
case "$1" in
    venv) mkdir -p "${*##* }/bin"; cp "$FAKE" "${*##* }/bin/python"; echo "uv venv" >>"$LOG" ;;
    pip) echo "uv pip ${*##* }" >>"$LOG" ;;
esac
"""
INSTALLED = ["venv", "pip requirements.lock", "pip ."]


class Clone:
    """A fresh clone in a folder with a space in its name, on a machine with one (fake) Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.python = self.root / ".venv/bin/python"
        self.stamp = self.root / ".venv/installed"
        (self.root / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("scripts/install", "scripts/test", "scripts/demo", "requirements.lock", "pyproject.toml"):
            (self.root / name).write_bytes((CHECKOUT / name).read_bytes())
            (self.root / name).chmod(0o755)

    def put(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def install(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/install from another folder, seeing only the fake Python and the system's tools."""
        self.log.write_text("", encoding="utf-8")
        tools = self.bin.parent / "tools"
        if not tools.exists():
            tools.mkdir()
            for tool in ("sh", "dirname", "cat", "cksum", "rm", "mkdir", "cp"):
                found = next(Path(p, tool) for p in os.environ["PATH"].split(os.pathsep) if Path(p, tool).exists())
                (tools / tool).symlink_to(found)
        env = {"PATH": f"{self.bin}:{tools}", "HOME": str(self.bin.parent), "LOG": str(self.log)} | env
        command = [str(self.root / "scripts/install")]
        return subprocess.run(
            command, cwd=self.bin.parent, env=env, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def steps(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@posix
def test_a_second_install_does_nothing(clone):
    clone.put("python3", FAKE_PYTHON)
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED
    again = clone.install()
    assert (again.returncode, clone.steps, again.stdout, again.stderr) == (0, [], "", "")


@posix
@pytest.mark.parametrize("name", ["python3.14", "python3.13", "python3.12", "python3", "python"])
def test_python_is_found_on_path_under_each_of_its_names(clone, name):
    clone.put(name, FAKE_PYTHON)
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED


@posix
@pytest.mark.parametrize("variable", ["HOME", "PYENV_ROOT"])
def test_python_is_found_under_pyenv(clone, variable):
    root = clone.bin.parent / "elsewhere"
    versions = (root / ".pyenv" if variable == "HOME" else root) / "versions/3.13.0/bin"
    versions.mkdir(parents=True)
    clone.put("python", FAKE_PYTHON).rename(versions / "python")
    assert clone.install(**{variable: str(root)}).returncode == 0
    assert clone.steps == INSTALLED


@posix
def test_python_is_found_where_the_pyenv_on_path_lies(clone):
    """pyenv may belong to another home, such as that of root in a container."""
    versions = clone.bin.parent / "versions/3.13.0/bin"
    versions.mkdir(parents=True)
    clone.put("python", FAKE_PYTHON).rename(versions / "python")
    clone.put("pyenv", "#!/bin/sh\nexit 1\n")
    assert clone.install(HOME="/nowhere").returncode == 0
    assert clone.steps == INSTALLED


@posix
def test_a_shim_that_fails_is_passed_over(clone):
    clone.put("python3.13", "#!/bin/sh\nexit 127\n")
    clone.put("python", FAKE_PYTHON)
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED


@posix
def test_without_a_python_one_line_says_what_to_do(clone):
    done = clone.install()
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Python >= 3.12")
    assert "PYTHON=" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not clone.python.exists()


@posix
def test_an_old_python_that_was_asked_for_is_refused_and_nothing_is_removed(clone):
    clone.put("python3", FAKE_PYTHON)
    assert clone.install().returncode == 0
    done = clone.install(PYTHON=str(clone.put("old", "#!/bin/sh\nexit 1\n")))
    assert done.returncode == 1
    assert re.fullmatch(r"error: PYTHON=.*/old is no Python >= 3.12\n", done.stderr)
    assert clone.python.exists()


@posix
def test_uv_helps_where_python_cannot_make_environments(clone):
    fake = clone.put("python3", FAKE_PYTHON)
    clone.put("uv", FAKE_UV)
    assert clone.install(BARE="1", FAKE=str(fake)).returncode == 0
    assert clone.steps == ["uv venv", "uv pip requirements.lock", "uv pip ."]
    clone.install(BARE="1")
    assert clone.steps == []


@posix
@pytest.mark.parametrize("step", ["requirements.lock", "."])
def test_an_interrupted_install_is_made_again(clone, step):
    clone.put("python3", FAKE_PYTHON)
    failed = clone.install(FAIL=step)
    assert failed.returncode == 1
    assert "error: the installation failed" in failed.stderr
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED


@posix
@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_new_requirements_are_installed_into_the_environment(clone, name):
    clone.put("python3", FAKE_PYTHON)
    clone.install()
    with (clone.root / name).open("a", encoding="utf-8") as file:
        file.write("# newer\n")
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED[1:]


@posix
def test_an_environment_whose_python_is_gone_is_made_again(clone):
    clone.put("python3", FAKE_PYTHON)
    clone.install()
    clone.python.unlink()
    clone.python.symlink_to(clone.root / "gone")
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED


@posix
def test_a_moved_clone_installs_again(clone):
    clone.put("python3", FAKE_PYTHON)
    clone.install()
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    assert clone.install().returncode == 0
    assert clone.steps == INSTALLED


@posix
def test_paths_of_another_environment_do_not_leak_in(clone):
    clone.put("python3", FAKE_PYTHON)
    assert clone.install(PYTHONPATH="/other", PYTHONHOME="/other", VIRTUAL_ENV="/other").returncode == 0
    assert clone.steps == INSTALLED


@posix
@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_can_be_run(name):
    path = CHECKOUT / name
    assert os.access(path, os.X_OK)
    shell = path.read_text(encoding="utf-8").splitlines()[0].rpartition("/")[2].split()[-1]
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0


@pytest.mark.parametrize(
    "call", [["tests/cuts.py"], ["tests/storm.py"], ["tests/livestorm.py"], ["-m", "tests.venue"]]
)
def test_what_is_run_by_hand_runs_as_written(call):
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run(
        [sys.executable, *call, "--help"], check=False, cwd=CHECKOUT, env=bare, capture_output=True, text=True
    )
    assert (told.returncode, told.stdout.partition(" [-h]")[0]) == (0, f"usage: python {' '.join(call)}")


def test_the_readme_opens_with_the_two_commands_and_ci_runs_the_tests_the_same_way():
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    first_block = readme.split("```")[1]
    assert [line.split()[0] for line in first_block.splitlines()[1:]] == ["scripts/demo", "scripts/test"]
    assert "step tests scripts/test\n" in (CHECKOUT / ".ci/run").read_text(encoding="utf-8")


def test_the_lock_names_no_place_and_hashes_everything():
    assert not re.search(r"://|^-|@|/", LOCK.replace("sha256:", ""), re.MULTILINE)
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert all(
        re.match(r"[a-z0-9-]+==[\w.]+( ; .*)? \\\n    --hash=sha256:[0-9a-f]{64}", entry) for entry in entries
    )


def test_the_lock_holds_every_declared_requirement_and_the_build_backend():
    locked = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
    declared = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    names = {re.match(r"[\w-]+", line).group().lower() for line in declared}
    assert names <= locked


def test_the_changelog_tells_of_this_version():
    assert f"\n## [{__version__}]" in (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_wheel_carries_templates_sample_and_types(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=600)
    (wheel,) = tmp_path.glob(f"metaexpert-{__version__}-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"metaexpert/templates/{p.name}" for p in (CHECKOUT / "templates").iterdir() if p.is_file()}
    wanted |= {p.relative_to(CHECKOUT).as_posix() for p in (CHECKOUT / "metaexpert").rglob("*.parquet")}
    assert len(wanted) > 1
    assert wanted | {"metaexpert/py.typed", "metaexpert/__init__.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]
