import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from trading_assets.adapters.storage.locks import FileLock
from trading_assets.errors import StoreBusy

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from trading_assets.adapters.storage.locks import FileLock
with FileLock(Path(sys.argv[1]), 5).exclusive():
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from trading_assets.adapters.storage.locks import FileLock
counter = Path(sys.argv[1])
for _ in range(40):
    with FileLock(counter, 30).exclusive():
        counter.write_text(str(int(counter.read_text()) + 1))
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@contextmanager
def held_by_a_child(store: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(store), "a note"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_readers_share(store: Path) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(FileLock(store, 0).shared())


def test_a_writer_keeps_readers_and_writers_out(store: Path) -> None:
    with FileLock(store, 0).exclusive():
        with pytest.raises(StoreBusy), FileLock(store, 0).shared():
            pass
        with pytest.raises(StoreBusy), FileLock(store, 0).exclusive():
            pass


def test_a_reader_keeps_writers_out(store: Path) -> None:
    with (
        FileLock(store, 0).shared(),
        pytest.raises(StoreBusy, match="in use by readers"),
        FileLock(store, 0).exclusive(),
    ):
        pass


def test_what_was_released_is_free(store: Path) -> None:
    with FileLock(store, 0).exclusive():
        pass
    with FileLock(store, 0).shared():
        pass
    with FileLock(store, 0).exclusive():
        pass


def test_an_error_inside_releases(store: Path) -> None:
    with pytest.raises(KeyError), FileLock(store, 0).exclusive():
        raise KeyError

    with FileLock(store, 0).exclusive():
        pass


def test_the_holder_is_named_with_its_process_and_command(store: Path) -> None:
    with (
        held_by_a_child(store) as child,
        pytest.raises(
            StoreBusy, match=rf"store is in use by process {child.pid} \(-c "
        ) as busy,
        FileLock(store, 0.05).exclusive(),
    ):
        pass

    assert "a note" in str(busy.value)
    assert "since 20" in str(busy.value)
    assert "after 0.05 s" in str(busy.value)


def test_a_killed_holder_releases(store: Path) -> None:
    with held_by_a_child(store) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    with FileLock(store, 0).exclusive():
        pass


def test_a_killed_writer_is_not_blamed_for_readers(store: Path) -> None:
    with held_by_a_child(store) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    with (
        FileLock(store, 0).shared(),
        pytest.raises(StoreBusy, match="in use by readers"),
        FileLock(store, 0).exclusive(),
    ):
        pass


def test_the_wait_ends_when_the_lock_is_released(store: Path) -> None:
    released = Event()

    def wait() -> None:
        with FileLock(store, 10).exclusive():
            released.set()

    with FileLock(store, 0).exclusive():
        waiter = Thread(target=wait)
        waiter.start()
        assert not released.wait(0.1)
    waiter.join()

    assert released.is_set()


def test_readers_that_keep_coming_cannot_keep_a_writer_out(store: Path) -> None:
    stop = Event()

    def keep_reading() -> None:
        while not stop.is_set():
            with FileLock(store, 30).shared():
                time.sleep(0.03)

    readers = [Thread(target=keep_reading) for _ in range(6)]
    for reader in readers:
        reader.start()
        time.sleep(0.007)  # so that there is always one inside
    try:
        for _ in range(5):
            with FileLock(store, 5).exclusive():
                pass
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_processes_take_turns(store: Path) -> None:
    store.write_text("0")
    command = [sys.executable, "-c", COUNT, str(store)]
    children = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]

    assert [child.wait() for child in children] == [0] * 4
    assert store.read_text() == "160"
