"""What the documentation shows is true: marked snippets run, and links lead somewhere.

A comment `<!-- runnable -->` before a fenced block marks it. Lines of a console block that begin with `$ ` are
run in order, in one folder per page; every other line must occur in what the command above it prints. The comment
`<!-- runnable: exit 2 -->` says with which exit code all commands of the block end, and `<!-- runnable: NAME -->`
writes the block to the file NAME.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(
    r"<!-- runnable(?:: (?P<note>[^>]+?))? -->\n```(?P<kind>\w+)[^\n]*\n(?P<body>.*?)\n```", re.DOTALL
)


class Snippet(NamedTuple):
    kind: str
    body: str
    note: str


def snippets(page: Path) -> list[Snippet]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Snippet(match["kind"], match["body"], match["note"] or "") for match in found]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    tools = {"metaexpert": [sys.executable, "-m", "metaexpert"], "python": [sys.executable]}
    assert words[0] in tools, f"a console snippet may only run metaexpert or python, not {words[0]}"
    command = [*tools[words[0]], *words[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)


def play_console(snippet: Snippet, folder: Path) -> None:
    code = int(snippet.note.removeprefix("exit ")) if snippet.note else 0
    printed = ""
    for line in snippet.body.splitlines():
        if line.startswith("$ "):
            done = run(shlex.split(line[2:]), folder)
            printed = done.stdout + done.stderr
            assert done.returncode == code, f"{line}\n{printed}"
        elif line.strip():
            assert line.strip() in printed, f"{line!r} is not in the output:\n{printed}"


def play(snippet: Snippet, folder: Path) -> None:
    if snippet.kind == "console":
        play_console(snippet, folder)
    elif snippet.note:
        (folder / snippet.note).write_text(snippet.body + "\n", encoding="utf-8")
    else:
        assert snippet.kind == "python", f"don't know how to run {snippet.kind}"
        (folder / "snippet.py").write_text(snippet.body, encoding="utf-8")
        done = run(["python", "-W", "error", "snippet.py"], folder)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [page for page in PAGES if snippets(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_runnable_snippets_run(page, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for snippet in snippets(page):
        play(snippet, folder)


def test_the_tutorial_is_run():
    assert len(snippets(ROOT / "docs" / "usage.md")) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_every_runnable_mark_belongs_to_a_block(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("<!-- runnable") == len(BLOCK.findall(text))


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{name} links to {target}"


def test_a_broken_link_or_snippet_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A title!\n\n<!-- runnable: exit 2 -->\n```console\n$ metaexpert nope\nno such command\n```\n"
    )
    assert anchors(page) == {"a-title"}
    (snippet,) = snippets(page)
    play(snippet, tmp_path)
    with pytest.raises(AssertionError, match="nope"):
        play(snippet._replace(note=""), tmp_path)
    with pytest.raises(AssertionError, match="is not in the output"):
        play(snippet._replace(body="$ metaexpert nope\nsomething else"), tmp_path)
