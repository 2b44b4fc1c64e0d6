"""What a folder becomes beside what is live, and what differs (rules V1, V2, V5)."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.errors import InvalidTopology, NotPublishable
from orchestrator.operate.publishing import journeys
from orchestrator.operate.publishing.composing import Target, compose_target
from orchestrator.operate.publishing.differences import Change, differences, lost_versions
from orchestrator.operate.publishing.plan import Live
from orchestrator.operate.publishing.publish import revision_for
from orchestrator.programs import PublishedProgram, check_wiring, load_program, program_of
from orchestrator.wire.programs import Freeze, ProgramBoard, encode_file, encode_revision
from orchestrator.workspace import Workspace

SHIPPED = Path(__file__).parents[3] / "topologies"


class Folder:
    """A folder with the win-back journey, and all that was published from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "journeys").mkdir(parents=True)
        for name in ("policy.yaml", "streams.yaml", "journeys/winback.yaml"):
            shutil.copy(SHIPPED / name, path / name)
        self.journey = path / "journeys" / "winback.yaml"
        self.board = ProgramBoard("journeys")

    def change(self, *pairs: tuple[str, str]) -> None:
        text = self.journey.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.journey.write_text(text)

    def workspace(self) -> Workspace:
        return Workspace.load(self.path)

    def live(self) -> PublishedProgram | None:
        latest = self.board.latest
        return None if latest is None else load_program(self.board, latest, self.workspace().catalog)

    def target(self) -> Target:
        return compose_target(self.workspace(), self.board, self.live())

    def publish(self, target: Target | None = None) -> Target:
        target = target or self.target()
        revision = replace(revision_for(target, self.board.latest, "journeys"), number=self.board.newest + 1)
        self.board.read([encode_file("journeys", content) for content in target.contents.values()])
        self.board.read([encode_revision(revision)])
        return target


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "topologies")


def _versions(program: PublishedProgram | None) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    assert program is not None
    return ({(j.id, j.version) for j in program.topology.journeys}, {(j.id, j.version) for j in program.topology.earlier})


def _to_second(folder: Folder) -> None:
    folder.change(("version: 1\n", "version: 2\n"), ("template: miss-you", "template: come-back"))


def test_v1_a_live_version_stays_loaded_without_a_file_under_earlier(folder: Folder) -> None:
    folder.publish()
    _to_second(folder)
    folder.publish()
    folder.change(("version: 2\n", "version: 3\n"))
    folder.publish()

    assert _versions(folder.live()) == ({("winback", 3)}, {("winback", 1), ("winback", 2)})
    for number in (1, 2):
        program = program_of(folder.board, f"whatever-1@{number}", folder.workspace().catalog)
        assert _versions(program)[0] == {("winback", number)}
    assert program_of(folder.board, "0123456789abcdef-1", None) is None


def test_a_comment_is_no_change_and_a_real_one_needs_a_higher_version(folder: Folder) -> None:
    target = folder.publish()
    folder.change(("version: 1\n", "# we write to them\n\nversion: 1\n"))
    (folder.path / "policy.yaml").write_text("# ours\n" + (folder.path / "policy.yaml").read_text())
    assert folder.target().files == target.files

    folder.change(("template: miss-you", "template: come-back"))
    with pytest.raises(NotPublishable, match="version 1 of 'winback' is live") as error:
        folder.target()
    assert str(folder.journey) in error.value.where


def test_v5_an_earlier_file_put_back_takes_the_entries_and_the_later_version_stays(folder: Folder) -> None:
    before = folder.journey.read_text()
    folder.publish()
    _to_second(folder)
    folder.publish()
    folder.journey.write_text(before)
    target = folder.publish()

    assert target.entries == {"winback": 1}
    assert _versions(folder.live()) == ({("winback", 1)}, {("winback", 2)})
    _to_second(folder)
    assert folder.publish().entries == {}
    assert _versions(folder.live()) == ({("winback", 2)}, {("winback", 1)})


def test_v5_v6_rollback_and_pause_are_revisions_of_what_is_live(folder: Folder) -> None:
    folder.publish()
    _to_second(folder)
    folder.publish()
    live = Live(folder.board, folder.live())

    back = journeys.rolled_back(live, "winback", None)
    assert (back.entries, back.files) == ({"winback": 1}, folder.board.revisions[2].files)
    for version in (2, 7):
        with pytest.raises(NotPublishable):
            journeys.rolled_back(live, "winback", version)
    with pytest.raises(NotPublishable, match="no journey 'nobody'"):
        journeys.paused(live, "nobody")
    paused = replace(journeys.paused(live, "winback"), number=3)
    folder.board.read([encode_revision(paused)])
    live = Live(folder.board, folder.live())
    assert live.program is not None and live.program.paused == {"winback"}
    assert revision_for(folder.target(), paused, "journeys").paused == ("winback",), "a publish does not end a pause"
    with pytest.raises(NotPublishable, match="paused already"):
        journeys.paused(live, "winback")
    resumed = journeys.resumed(live, "winback", 1)
    assert resumed is not None and resumed.paused == ()


def test_v6_a_pause_notes_from_when_to_when_timers_stand_still_and_what_is_published_later_keeps_it(folder: Folder) -> None:
    folder.publish()
    live = Live(folder.board, folder.live())
    folder.board.read([encode_revision(replace(journeys.paused(live, "winback", 50), number=2))])
    live = Live(folder.board, folder.live())
    assert live.program is not None and live.program.freezes == {"winback": ((50, 0),)}
    resumed = journeys.resumed(live, "winback", 80)
    assert resumed is not None
    folder.board.read([encode_revision(replace(resumed, number=3))])
    kept = revision_for(folder.target(), folder.board.latest, "journeys")
    assert (kept.paused, kept.freezes) == ((), (Freeze("winback", 50, 80),))


def test_a_journey_that_is_gone_takes_no_entries_and_stays_for_its_instances(folder: Folder) -> None:
    shutil.copy(SHIPPED / "journeys" / "onboarding.yaml", folder.path / "journeys" / "onboarding.yaml")
    folder.publish()
    before = folder.live()
    (folder.path / "journeys" / "onboarding.yaml").unlink()
    target = folder.publish()

    assert _versions(folder.live()) == ({("winback", 1)}, {("onboarding", 1)})
    assert before is not None
    stand = Counter({("onboarding", 1, "s", "x"): 4})
    (change,) = differences(before.topology, target.topology, stand)
    assert (change.journey, change.before, change.after, change.instances) == ("onboarding", 1, None, 4)
    assert lost_versions(target.topology, stand) == {}
    assert lost_versions(target.topology, Counter({("winback", 9, "s", ""): 2})) == {("winback", 9): 2}


def _rename_state(text: str) -> str:
    return text.replace("lapsed", "gone")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda text: text.replace("template: miss-you", "template: come-back"), {("changed", "step")}),
        (lambda text: text.replace("priority:", "# priority:"), {("changed", "part")}),
        (_rename_state, {("added", "state"), ("removed", "state"), ("changed", "step")}),
    ],
)
def test_v2_what_differs_is_told_by_state_and_step_with_who_stands_there(
    folder: Folder, edit: Callable[[str], str], expected: set[tuple[str, str]]
) -> None:
    folder.publish()
    before = folder.live()
    assert before is not None
    (journey,) = before.topology.journeys
    stand = Counter({("winback", 1, state.name, step.id): 1 for state in journey.states.values() for step in state.steps})
    text = edit(folder.journey.read_text())
    assert text != folder.journey.read_text()
    folder.journey.write_text(text.replace("version: 1\n", "version: 2\n"))

    (found,) = differences(before.topology, folder.target().topology, stand)
    assert found.instances == sum(stand.values())
    assert {(each.what, _kind(each)) for each in found.changes} <= expected and found.changes
    for each in found.changes:
        if each.step and each.what != "added":
            assert each.instances == 1, "one stands at each step of version 1"


def _kind(change: Change) -> str:
    return "step" if change.step else "state" if change.state else "part"


def test_a_program_that_is_wired_otherwise_or_does_not_fit_is_refused(folder: Folder) -> None:
    target = folder.publish()
    streams = target.topology.streams
    check_wiring(streams, streams)
    with pytest.raises(NotPublishable, match="partitions is 5"):
        check_wiring(replace(streams, partitions=5), streams)
    del folder.board.contents[target.files[0].sha256]
    with pytest.raises(InvalidTopology, match="is missing"):
        folder.live()
