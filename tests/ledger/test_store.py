"""The ledger's file: versions, damage, guards, audit, query plans."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import pytest
from disk_calls import disk_calls
from fakes import ManualClock
from ledger_jobs import a_result

from edge_matting.core.errors import LedgerCorrupt, LedgerError, Truncated
from edge_matting.core.jobs import (
    Done,
    Failed,
    Original,
    Place,
    Signature,
    Source,
)
from edge_matting.core.states import TRANSITIONS, JobState
from edge_matting.ledger import Ledger, set_aside
from edge_matting.ledger.schema import MIGRATIONS, migrate, version

RESULT = a_result()


def sources(count: int) -> list[Source]:
    return [
        Source("/srv/hot", f"{n % 50}/p{n}.jpg", Signature(1, n, n), "cutout") for n in range(count)
    ]


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, clock=ManualClock(), max_attempts=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path) as opened:
        yield opened


@pytest.fixture
def raw(path: Path, ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """A connection beside the ledger, without its guards."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


# Opening and closing.


def test_a_commit_is_on_disk_when_it_returns(path: Path, ledger: Ledger) -> None:
    for connection in (ledger._database._writer, ledger._database._reader):
        settings = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings]
        assert found == ["wal", 2, 1, 10_000]


@pytest.mark.parametrize(("synced", "level"), [(True, 2), (False, 1)])
def test_a_commit_waits_for_the_disk_where_it_was_asked_to(
    ledger: Ledger, synced: bool, level: int
) -> None:
    with ledger._database.write(synced=not synced):
        pass
    with ledger._database.write(synced=synced) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == level


def after_power_cut(path: Path, synced_bytes: int) -> Path:
    """A copy of the ledger of which the log is there as far as it was synced."""
    copy = path.with_name("after.sqlite")
    copy.write_bytes(path.read_bytes())
    log_of(copy).write_bytes(log_of(path).read_bytes()[:synced_bytes])
    return copy


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_after_a_power_cut_a_claim_that_was_not_synced_is_as_if_taken_back(
    path: Path, ledger: Ledger
) -> None:
    ledger.enqueue(sources(1))
    synced = log_of(path).stat().st_size
    (before,) = ledger.claim(1)
    assert log_of(path).stat().st_size > synced
    with open_ledger(after_power_cut(path, synced)) as after:
        assert after.recover_after_engine_death(guilty=False).returned == ()
        (again,) = after.claim(1)
        assert again.job == before.job
        assert not after.holds(before)
        assert after.check() == []


def test_after_a_power_cut_a_finished_job_is_finished_and_its_original_is_looked_for(
    path: Path, ledger: Ledger
) -> None:
    ledger.enqueue(sources(1))
    (claim,) = ledger.claim(1)
    job = ledger.finish(claim, Done(JobState.SUCCEEDED, RESULT))
    assert job is not None
    synced = log_of(path).stat().st_size
    assert ledger.moved(job, Original(Place.DONE, job.source))
    assert log_of(path).stat().st_size > synced
    with open_ledger(after_power_cut(path, synced)) as after:
        assert after.get(job.id) == job
        assert after.misplaced(10) == [job]
        assert after.moved(job, Original(Place.DONE, job.source))
        assert after.check() == []


def test_a_closed_ledger_leaves_one_file_and_says_that_it_is_closed(
    path: Path, ledger: Ledger
) -> None:
    ledger.enqueue(sources(3))
    ledger.close()
    ledger.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]
    with pytest.raises(LedgerError, match="closed"):
        ledger.counts()
    with pytest.raises(LedgerError, match="closed"):
        ledger.claim(1)


def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.enqueue(sources(3))
    with open_ledger(path) as ledger:
        assert len(ledger.claim(9)) == 3


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"absent/ledger\.sqlite: unable to open"):
        open_ledger(tmp_path / "absent" / "ledger.sqlite")


def test_a_ledger_without_a_write_ahead_log_is_refused() -> None:
    with pytest.raises(LedgerError, match="put state_dir on a local disk"):
        open_ledger(Path(":memory:"))


def test_a_full_disk_changes_nothing_and_work_goes_on_when_there_is_room(
    path: Path, ledger: Ledger
) -> None:
    ledger.enqueue(sources(1))
    writer = ledger._database._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: database or disk is full"):
        ledger.enqueue(sources(2000))
    assert ledger.check() == []
    assert ledger.counts()[JobState.PENDING] == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert ledger.enqueue(sources(2000)).added == 1999


def test_a_reader_does_not_wait_for_a_burst_that_is_being_written(ledger: Ledger) -> None:
    ledger.enqueue(sources(1))
    with ledger._database.write() as connection:
        connection.execute("DELETE FROM jobs")
        assert ledger.counts()[JobState.PENDING] == 1
        assert ledger.next_due() is not None


def test_a_locked_ledger_is_reported(path: Path, ledger: Ledger, raw: sqlite3.Connection) -> None:
    raw.execute("BEGIN IMMEDIATE")
    ledger._database._writer.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(LedgerError, match="locked"):
        ledger.claim(1)
    raw.execute("ROLLBACK")
    assert ledger.claim(1) == []


# Damage.


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" * 300])
def test_a_damaged_ledger_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerCorrupt, match=r"ledger\.sqlite is damaged"):
        open_ledger(path)


def test_a_ledger_cut_in_half_is_damaged(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.enqueue(sources(500))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(LedgerCorrupt), open_ledger(path) as ledger:
        ledger.claim(500)


def test_damage_inside_the_file_is_found_by_the_audit(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.enqueue(sources(500))
        (root,) = ledger._database._reader.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_name'"
        ).fetchone()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 + 100 : root * 4096] = bytes(3996)
    path.write_bytes(content)
    with open_ledger(path) as ledger:
        assert ledger.check()[0].startswith("the file is damaged: ")


def test_a_ledger_set_aside_stays_so_after_a_power_cut(path: Path, ledger: Ledger) -> None:
    """Its log goes first: left beside a new ledger it would be played into it."""
    ledger.enqueue(sources(1))
    before = {file.name: file for file in path.parent.iterdir()}
    assert set(before) == {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    with disk_calls() as calls:
        aside = set_aside(path, ManualClock())
    names = [("rename", f"{aside.name}{ending}") for ending in ("-wal", "-shm", "")]
    assert calls == [*names, ("sync", path.parent.name)]


def test_a_damaged_ledger_is_set_aside_with_its_log_and_a_new_one_starts_empty(
    path: Path,
) -> None:
    path.write_bytes(b"broken")
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"log")
    aside = set_aside(path, ManualClock())
    assert aside == path.with_name("ledger.sqlite.corrupt-20270115T080000Z")
    assert aside.read_bytes() == b"broken"
    assert {file.name.removeprefix(aside.name) for file in path.parent.iterdir()} == {
        "",
        "-wal",
        "-shm",
    }
    with open_ledger(path) as ledger:
        assert ledger.check() == []


def test_setting_aside_overwrites_nothing(path: Path) -> None:
    names = []
    for content in (b"1", b"2", b"3"):
        path.write_bytes(content)
        names.append(set_aside(path, ManualClock()))
    assert [name.read_bytes() for name in names] == [b"1", b"2", b"3"]


# Versions.


def test_a_new_ledger_has_the_newest_version(raw: sqlite3.Connection) -> None:
    assert version(raw) == len(MIGRATIONS) == 3


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_is(
    path: Path, ledger: Ledger, raw: sqlite3.Connection
) -> None:
    raw.execute("PRAGMA user_version = 7")
    with pytest.raises(
        LedgerError, match=r"ledger\.sqlite has version 7, this program knows up to 3"
    ):
        open_ledger(path)
    assert version(raw) == 7


def test_an_older_ledger_is_brought_forward_step_by_step(
    ledger: Ledger, raw: sqlite3.Connection
) -> None:
    ledger.enqueue(sources(2))

    def second(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE jobs ADD COLUMN note TEXT DEFAULT 'new'")

    def third(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE jobs SET note = note || 'er'")

    migrate(raw, (*MIGRATIONS, second, third))
    assert version(raw) == len(MIGRATIONS) + 2
    assert raw.execute("SELECT note FROM jobs").fetchall() == [("newer",)] * 2


def test_a_ledger_from_before_parameters_keeps_its_jobs(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        migrate(old, MIGRATIONS[:1])
        old.execute("INSERT INTO names VALUES (1, '/srv/hot', 'a.jpg', 'a')")
        old.execute(
            "INSERT INTO jobs (name, signature, recipe, original, queued_at, due_at, created_at,"
            " updated_at) VALUES (1, '1:2:3', 'cutout', 'a.jpg', 1, 1, 1, 1)"
        )
    with open_ledger(path) as ledger:
        (claim,) = ledger.claim(1)
        assert (claim.job.recipe, claim.job.parameters) == ("cutout", None)
        ledger.announce("/srv/hot", Signature(9, 9, 9), '{"feather":1}')
        assert ledger.check() == []


def test_photos_that_were_taken_away_are_no_failures_of_the_older_ledger_any_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.row_factory = sqlite3.Row
        migrate(old, MIGRATIONS[:2])
        old.execute("INSERT INTO names VALUES (1, x'2f', x'61', x'61'), (2, x'2f', x'62', x'62')")
        for name, code in ((1, "source_gone"), (2, "not_an_image")):
            old.execute(
                "INSERT INTO jobs (name, signature, recipe, state, attempts, queued_at, due_at,"
                " original, settled, code, created_at, updated_at, finished_at)"
                " VALUES (?, '1:2:3', 'cutout', 'failed', 1, 0, 0, x'61', 1, ?, 0, 0, 1)",
                (name, code),
            )
    with open_ledger(path) as ledger:
        states = {job.code: job.state for job in ledger.jobs(None, 9)}
        assert states == {"source_gone": JobState.WITHDRAWN, "not_an_image": JobState.FAILED}
        assert ledger.counts()[JobState.WITHDRAWN] == 1
        assert ledger.check() == []


def test_a_migration_that_fails_leaves_the_old_version(
    ledger: Ledger, raw: sqlite3.Connection
) -> None:
    def second(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE more (id INTEGER)")

    def broken(connection: sqlite3.Connection) -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        migrate(raw, (*MIGRATIONS, second, broken))
    assert version(raw) == len(MIGRATIONS)
    assert not raw.in_transaction
    assert raw.execute("SELECT * FROM sqlite_master WHERE name = 'more'").fetchall() == []


# Guards.


@pytest.mark.parametrize("old", JobState)
@pytest.mark.parametrize("new", JobState)
def test_the_database_itself_refuses_what_the_table_of_transitions_does_not_allow(
    ledger: Ledger, raw: sqlite3.Connection, old: JobState, new: JobState
) -> None:
    ledger.enqueue(sources(1))
    raw.execute("UPDATE jobs SET state = ?", (old.value,))
    refused = None
    try:
        with ledger._database.write() as connection:
            connection.execute("UPDATE jobs SET state = ?", (new.value,))
    except LedgerError as error:
        refused = error
    assert (refused is None) == (new in TRANSITIONS[old])
    assert refused is None or "forbidden transition" in str(refused)


def test_a_source_cannot_have_two_active_jobs(ledger: Ledger, raw: sqlite3.Connection) -> None:
    ledger.enqueue(sources(1))
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(
            "INSERT INTO jobs"
            " (name, signature, recipe, original, queued_at, due_at, created_at, updated_at)"
            " VALUES (1, '', '', '', 0, 0, 0, 0)"
        )


# Audit.


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE jobs SET token = 'x' WHERE id < 8", r"token .* \(1, 2, 3, 4, 5 and 2 more\)"),
        ("UPDATE jobs SET attempts = -1 WHERE id = 2", r"attempts .* \(2\)"),
        ("UPDATE jobs SET finished_at = 1 WHERE id = 2", r"finished_at .* \(2\)"),
        ("UPDATE jobs SET result = '{}' WHERE id = 2", r"outputs .* \(2\)"),
        ("UPDATE jobs SET own = 1 WHERE id = 2", r"result to find again .* \(2\)"),
        ("UPDATE jobs SET settled = 1 WHERE id = 2", r"settled \(2\)"),
        (
            "DROP INDEX jobs_active; UPDATE jobs SET name = 1 WHERE id = 2",
            r"one active job at most \(1\)",
        ),
        ("PRAGMA foreign_keys = OFF; DELETE FROM names WHERE id = 2", r"has a name \(2\)"),
        ("UPDATE jobs SET state = 'lost' WHERE id = 2", r"known state \(2\)"),
        ("UPDATE counters SET jobs = 99", r"counters .* \(pending\)"),
        ("DELETE FROM counters", r"counters .* \(pending\)"),
        (
            """
            UPDATE names SET stem = CAST('a.alpha' AS BLOB) WHERE id = 2;
            UPDATE names SET stem = CAST('a' AS BLOB) WHERE id = 3
            """,
            r"same name \(3\)",
        ),
    ],
)
def test_the_audit_names_each_broken_rule(
    ledger: Ledger, raw: sqlite3.Connection, damage: str, finding: str
) -> None:
    ledger.enqueue(sources(10))
    assert ledger.check() == []
    raw.executescript(damage)
    assert any(re.search(f"broken rule: .*{finding}", line) for line in ledger.check())


# Speed.


def test_hot_statements_use_indexes(ledger: Ledger) -> None:
    database = ledger._database
    statements: list[str] = []
    for connection in (database._writer, database._reader):
        connection.set_trace_callback(statements.append)
    ledger.enqueue(sources(3))
    first, second, third = ledger.claim(3)
    ledger.holds(first)
    job = ledger.finish(first, Done(JobState.SUCCEEDED, RESULT))
    ledger.finish(second, Failed(Truncated("short")))
    ledger.release(third)
    assert job is not None
    ledger.find_result("s", "r", "m")
    ledger.previous_outputs("/srv/hot", "0/p0.jpg", 9)
    ledger.counts()
    ledger.next_due()
    ledger.oldest_pending()
    ledger.rate(60)
    ledger.jobs(JobState.PENDING, 9)
    ledger.misplaced(9)
    ledger.stays(job)
    ledger.recover_after_engine_death(guilty=False)
    for connection in (database._writer, database._reader):
        connection.set_trace_callback(None)
    looked_at = [text for text in statements if re.match(r"\s*(SELECT|UPDATE|DELETE)\b", text)]
    assert len(looked_at) > 30
    for text in looked_at:
        plan = database._writer.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
        for step in plan:
            # A partial index holds just the rows that are asked for.
            small = re.search(r"INDEX jobs_(running|misplaced)$", step["detail"])
            scan = re.match(r"SCAN (TABLE )?(main\.)?(jobs|names|job_rows)\b", step["detail"])
            assert small or not scan, (text, step["detail"])
            assert "B-TREE" not in step["detail"] or "rate" in text or "GROUP BY" in text, text


def test_a_burst_of_20000_files_is_enqueued_in_one_go(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    burst = sources(20_000)
    times = []
    for _ in range(2):
        start = perf_counter()
        found = ledger.enqueue(burst)
        times.append(perf_counter() - start)
    assert found.known == 20_000
    assert ledger.counts()[JobState.PENDING] == 20_000
    with capsys.disabled():
        print(f"\n20,000 files: {times[0]:.2f} s to enqueue, {times[1]:.2f} s to know again")


def test_the_longest_history_is_pruned_in_short_transactions(ledger: Ledger) -> None:
    ledger.enqueue(sources(1))
    insert = """
        INSERT INTO jobs (name, signature, recipe, state, attempts, original, settled,
                          queued_at, due_at, created_at, updated_at, finished_at)
        SELECT 1, '1:1:1', '', 'failed', 1, 'x', 1, 0, 0, 0, 0, value FROM
            (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 2500)
             SELECT value FROM n)
    """
    with ledger._database.write() as connection:
        connection.execute(insert)
    # All but the newest, whose original lies in in/ still.
    assert ledger.prune(0.0) == 2499
    assert ledger.check() == []
    assert len(ledger.jobs(None, 9)) == 2
