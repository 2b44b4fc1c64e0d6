"""Every command that the README and the documents tell a reader to type is typed here, every piece of YAML checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import examples
from tests.house.documents import IN_AN_EMPTY_FOLDER, Block, Reader, blocks, differences, policy_of
from tests.house.tree import ROOT, files, name_of

DOCUMENTS = [ROOT / "README.md", *files(ROOT / "docs", ".md")]
BLOCKS = [block for path in DOCUMENTS for block in blocks(name_of(path), path.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Reader]]:
    """One reader a document, made when its first block comes."""
    made: dict[str, Reader] = {}
    yield made
    for reader in made.values():
        reader.close()


def marks(block: Block) -> list[pytest.MarkDecorator]:
    """One process types a whole document, block after block; some need a real Kafka."""
    together = pytest.mark.xdist_group(name=block.document)
    return [together, pytest.mark.kafka, pytest.mark.slow] if "kafka" in block.options else [together]


def cases() -> list[object]:
    """The blocks that are run."""
    return [
        pytest.param(block, id=f"{block.document}:{block.line}", marks=marks(block))
        for block in BLOCKS
        if block.skipped is None and block.mark != "check"
    ]


CHECKED = [pytest.param(block, id=f"{block.document}:{block.line}") for block in BLOCKS if block.mark == "check"]


@pytest.mark.parametrize("block", CHECKED)
def test_the_yaml_is_what_the_document_says(block: Block) -> None:
    policy = policy_of(each for each in BLOCKS if each.document == block.document)

    examples.check(block.options["kind"], block.body, policy, block.options["code"])


@pytest.mark.parametrize("block", cases())
def test_what_the_document_says_works(
    block: Block, readers: dict[str, Reader], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if block.document not in readers:
        is_empty = IN_AN_EMPTY_FOLDER in (ROOT / block.document).read_text(encoding="utf-8")
        readers[block.document] = Reader(tmp_path_factory.mktemp("reader"), is_empty=is_empty)
    broker = next((name for name in ("kafka", "embedded") if name in block.options), None)
    bootstrap = request.getfixturevalue(broker).bootstrap if broker else None

    readers[block.document].follow(block, bootstrap)


SAMPLE = """
Text.

<!-- run: output exit=3 -->
```console
$ echo one \\
    two
one two
$ exit 3
```

<!-- not run: takes a day -->
```bash
make universe
```
"""


def test_a_block_gives_its_commands_output_and_options() -> None:
    first, second = blocks("x.md", SAMPLE)

    assert (first.line, first.commands, first.shown) == (5, ("echo one      two", "exit 3"), ("one two",))
    assert first.options == {"output": "", "exit": "3"}
    assert (second.commands, second.skipped) == (("make universe",), "takes a day")


@pytest.mark.parametrize("before", ["", "<!-- run: sideways -->\n", "<!-- not run -->\n", "<!-- run -->\nText between.\n"])
def test_a_block_that_does_not_say_how_it_is_run_is_refused(before: str) -> None:
    with pytest.raises(AssertionError, match=r"x\.md:"):
        blocks("x.md", f"{before}```console\n$ true\n```\n")


@pytest.mark.parametrize(
    ("before", "fence"),
    [
        ("", "yaml"),
        ("<!-- run -->\n", "yaml"),
        ("<!-- check: poetry -->\n", "yaml"),
        ("<!-- not checked -->\n", "yaml"),
        ("<!-- file: ../above -->\n", "json"),
        ("<!-- check: steps -->\n", "console"),
    ],
)
def test_a_block_that_does_not_say_how_it_is_checked_is_refused(before: str, fence: str) -> None:
    with pytest.raises(AssertionError, match=r"x\.md:"):
        blocks("x.md", f"{before}```{fence}\na: 1\n```\n")


HOLD = "- id: wait\n  hold_until: [{on: auth.login, go: in}]\n  timeout: 3d\n"


@pytest.mark.parametrize(
    ("kind", "body", "code", "complaint"),
    [
        ("steps", HOLD, "", ""),
        ("steps", HOLD.replace("3d", "3"), "ORC-124", ""),
        ("steps", HOLD.replace("3d", "3"), "", "ORC-124"),
        ("steps", HOLD, "ORC-124", "should be refused"),
        ("states", "a:\n  on: [{event: auth.login, go: b}]\nb: {final: true}\n", "", ""),
        ("part of a journey", "entry: {on: auth.logn}\n", "", "did you mean 'auth.login'"),
        ("journey", "journey: x\n", "", "needs `version`"),
        ("policy", "timezone: Mars\n", "ORC-154", ""),
        ("scenario", "scenario: none\n", "", "needs `expect`"),
    ],
)
def test_yaml_is_checked_as_the_commands_check_it(kind: str, body: str, code: str, complaint: str) -> None:
    if not complaint:
        examples.check(kind, body, "", code)
        return
    with pytest.raises(AssertionError, match=complaint):
        examples.check(kind, body, "", code)


def test_a_reader_in_an_empty_folder_writes_files_and_keeps_the_broker_that_was_started(tmp_path: Path) -> None:
    text = """
<!-- file: deep/note.txt -->
```text
hello
```

<!-- run: broker until="127.0.0.1:" -->
```console
$ bash -c 'echo 127.0.0.1:7; read'
```

<!-- run: output -->
```console
$ cat deep/note.txt; ls; echo localhost:9092 $ORCHESTRATOR_BOOTSTRAP_SERVER
hello
...
127.0.0.1:7 127.0.0.1:7
```
"""
    reader = Reader(tmp_path, is_empty=True)
    try:
        for block in blocks("x.md", text):
            reader.follow(block, None)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "running-0.log"]
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("how", "body", "complaint"),
    [
        ("run", "$ echo gone wrong; false", "exit 1, not 0[\\s\\S]*gone wrong"),
        ("run: exit=2", "$ true", "exit 0, not 2"),
        ("run: output", "$ echo 12 events\n12 records", "not printed any more:\n12 records"),
        ("run: until=ready", "$ echo going", "ended with 0:\ngoing"),
    ],
)
def test_a_command_that_does_not_do_what_is_said_is_found(tmp_path: Path, how: str, body: str, complaint: str) -> None:
    (block,) = blocks("x.md", f"<!-- {how} -->\n```console\n{body}\n```\n")

    with pytest.raises(AssertionError, match=complaint):
        Reader(tmp_path).follow(block, None)


def test_commands_see_the_repository_the_broker_and_each_others_files(tmp_path: Path) -> None:
    text = "<!-- run -->\n```bash\ntest -f pyproject.toml\necho localhost:9092 > here\ngrep -q 127.0.0.1:7 here\n```\n"
    reader = Reader(tmp_path)
    (block,) = blocks("x.md", text)
    reader.follow(block, "127.0.0.1:7")

    assert not (ROOT / "here").exists()


def test_commands_cannot_change_the_repository(tmp_path: Path) -> None:
    text = "<!-- run -->\n```bash\ncp -r topologies mine\ntouch topologies/here mine/here docs/here\n```\n"
    (block,) = blocks("x.md", text)
    try:
        Reader(tmp_path).follow(block, None)
        assert (tmp_path / "mine" / "here").exists()
        assert not [name for name in ("topologies", "docs") if (ROOT / name / "here").exists()]
    finally:
        for name in ("topologies", "docs"):
            (ROOT / name / "here").unlink(missing_ok=True)


def test_no_command_builds_the_environment_anew(tmp_path: Path) -> None:
    (block,) = blocks("x.md", "<!-- run -->\n```bash\nmake --question .venv/.ready\n```\n")
    Reader(tmp_path).follow(block, None)


def test_what_was_left_running_is_ended(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    (block,) = blocks("x.md", '<!-- run: until="ready now" -->\n```bash\nbash -c "echo ready now; sleep 600"\n```\n')
    reader.follow(block, None)
    (running,) = reader._running
    assert running.poll() is None

    reader.close()
    assert running.poll() is not None


def test_shown_output_may_differ_in_figures_only() -> None:
    printed = "events   75,012 in 3.1 s\nworker ready\nemail  12\n"

    assert differences(("events 75,000 in 2.9 s", "email 9"), printed) == []
    assert differences(("events ...", "... ready"), printed) == []
    assert differences(("email 9", "events 75,000 in 2.9 s"), printed) == ["events 75,000 in 2.9 s"]
    assert differences(("sms 4",), printed) == ["sms 4"]
