"""The appliance: one main loop that watches, supervises and tells systemd.

Everything that changes something runs in the main loop. The page's threads read a snapshot and
the ledger, and leave wishes (pause, wake) for the loop.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge_matting.config import Settings
from edge_matting.core.clock import Clock, SystemClock
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.errors import ConfigError, FolderUnavailable, LedgerError, StartError
from edge_matting.core.locks import exclusive_lock
from edge_matting.daemon.housekeeping import Housekeeping, sweep
from edge_matting.daemon.intake import Intake, make_parts
from edge_matting.daemon.ledger_recovery import open_ledger
from edge_matting.daemon.page.view import View
from edge_matting.daemon.pause import PauseSwitch
from edge_matting.daemon.sd_notify import SystemdNotifier, SystemdStatus
from edge_matting.daemon.supervisor import Supervisor, cards
from edge_matting.daemon.wakeup import WakeUp
from edge_matting.device import probe_device
from edge_matting.hotfolder.condition import free_bytes
from edge_matting.hotfolder.layout import overlaps, pinned
from edge_matting.ledger import Ledger
from edge_matting.status.app import create_app
from edge_matting.status.security import read_token, usual_hosts
from edge_matting.status.server import StatusServer

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
ENGINE_GONE_SECONDS = 15.0
LEDGER_ROOM_BYTES = 1 << 20
"""With less free space than this, an error of the ledger is taken for the full disk's."""


class Appliance:
    """Runs until told to stop; ``reload`` reads the settings anew."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reload = reload
        self._clock: Clock = SystemClock()
        self._life = SystemdStatus(SystemdNotifier(), self._clock.monotonic)
        self._wakeup = WakeUp()
        self._stopping = False
        self._reloading = False
        self._reload_at = 0.0  # not before, however often it is asked for
        self._swept = False

    def run(self) -> int:
        """Exit status 0 after a clean stop, 2 when a start is not possible."""
        check_folders(self._settings)
        self._wakeup.take_signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        try:
            while True:
                try:
                    return self._live()
                except _LedgerLostError as error:
                    log.error("%s; all is begun anew with what the folders know", error)
        finally:
            self._wakeup.ignore_signals()
            self._life.stopping()

    def _live(self) -> int:
        """From an opened ledger to a stop; ``_LedgerLostError`` when it is not the ledger now."""
        state_dir = self._settings.state_dir
        _make_state_dir(state_dir)
        with exclusive_lock(state_dir / "daemon.lock", "appliance"):
            with _engines_gone(state_dir):
                ledger = self._open_ledger()
                if ledger is None:
                    return 0
            try:
                return self._serve(ledger)
            finally:
                _close(ledger)

    def wake(self) -> None:
        """Have the main loop look around now."""
        self._wakeup.nudge()

    def _wait(self, seconds: float) -> None:
        """Wait, and see what the signals ask for."""
        reload_waits = self._reloading or self._clock.monotonic() < self._reload_at
        came = self._wakeup.wait(seconds, later={signal.SIGHUP} if reload_waits else ())
        self._stopping = self._stopping or bool(came & {signal.SIGTERM, signal.SIGINT})
        self._reloading = self._reloading or signal.SIGHUP in came

    def _open_ledger(self) -> Ledger | None:
        """The ledger, ready for use; a full disk is waited out. None when told to stop."""
        told, try_at = False, 0.0
        while not self._stopping:
            if self._clock.monotonic() < try_at:  # woken by what is none of its business
                self._wait(try_at - self._clock.monotonic())
                continue
            try:
                return open_ledger(self._settings, self._clock)
            except LedgerError as error:
                if (free_bytes(self._settings.state_dir) or 0) > LEDGER_ROOM_BYTES:
                    raise
                if not told:
                    log.error("%s; it starts when there is room", error)
                told = True
            self._life.tell("waiting for room for the ledger", ready=False, coming_up=True)
            try_at = self._clock.monotonic() + TICK_SECONDS
        return None

    # -- one set of settings after another -------------------------------------------

    def _serve(self, ledger: Ledger) -> int:
        profile = probe_device()
        pause = PauseSwitch(self._settings.state_dir / "paused")
        view = View(ledger, self._clock, profile, self.wake, pause)
        server: StatusServer | None = None
        try:
            while True:
                if server is None:
                    server = self._start_page(ledger, view)
                page = self._settings.status
                status = self._work(ledger, view, server, profile)
                if status is not None:
                    return status
                if self._settings.status != page:
                    server.stop()
                    server = None
        finally:
            if server is not None:
                server.stop()

    def _start_page(self, ledger: Ledger, view: View) -> StatusServer:
        status = self._settings.status
        token = None if status.token_file is None else read_token(status.token_file)
        app = create_app(
            view,
            ledger,
            thumbnails_dir=self._settings.thumbnails_dir,
            token=token,
            clock=self._clock,
            allowed_hosts=usual_hosts(status.host),
            sessions_file=self._settings.state_dir / "sessions.json",
        )
        server = StatusServer(app, status.host, status.port)
        server.start()
        return server

    def _work(
        self, ledger: Ledger, view: View, server: StatusServer, profile: DeviceProfile
    ) -> int | None:
        """Work with the present settings; None when new ones were read."""
        settings = self._pinned(ledger)
        supervisor = Supervisor(settings, ledger, self.wake, cards(profile, settings))
        intakes = [
            Intake(folder, settings, ledger, self._clock, self.wake)
            for folder in settings.hot_folders
        ]
        if not self._swept:
            self._swept = True
            _sweep(settings)
        housekeeping = Housekeeping(settings, ledger, self._clock, view.note_new_work)
        housekeeping.start()
        view.attach(settings, supervisor, intakes, server.url)
        try:
            return self._loop(ledger, supervisor, intakes, view)
        finally:
            for intake in intakes:
                intake.stop()
            supervisor.stop()
            housekeeping.stop()

    def _pinned(self, ledger: Ledger) -> Settings:
        """The settings, their folders made and held from now on to what they are."""
        for folder in self._settings.hot_folders:
            make_parts(folder, ledger)
        try:
            return pinned(self._settings)
        except FolderUnavailable as error:
            raise StartError(error.message, hint=error.hint) from error

    def _loop(
        self, ledger: Ledger, supervisor: Supervisor, intakes: list[Intake], view: View
    ) -> int | None:
        while not self._stopping:
            fault = ledger.fault()
            if fault is not None:
                raise _LedgerLostError(fault)
            supervisor.step()
            if supervisor.start_error is not None and not self._life.ready_reported:
                raise StartError(supervisor.start_error)
            pause = min(self._step(intake, supervisor) for intake in intakes)
            view.refresh()
            self._life.tell(
                view.headline(),
                ready=supervisor.ready(),
                coming_up=supervisor.comes_up(),
                hopeless=supervisor.is_hopeless(),
            )
            if self._reloading and self._clock.monotonic() >= self._reload_at:
                self._reloading = False
                self._reload_at = self._clock.monotonic() + TICK_SECONDS
                if self._read_settings():
                    return None
            self._wait(min(pause, TICK_SECONDS))
        log.info("stopping")
        return 0

    def _step(self, intake: Intake, supervisor: Supervisor) -> float:
        added, pause = intake.step()
        if added:
            supervisor.wake()
        return pause

    def _read_settings(self) -> bool:
        """Read the configuration again; a bad one, or one that needs a restart, changes nothing."""
        try:
            new = self._reload()
            check_folders(new)
        except ConfigError as error:
            log.error("the new configuration is not used: %s", error)
            return False
        if new.state_dir != self._settings.state_dir:
            log.error("the new configuration is not used: state_dir changes only with a restart")
            return False
        if new == self._settings:
            log.info("configuration unchanged")
            return False
        log.info("configuration reloaded")
        self._settings = new
        return True


class _LedgerLostError(Exception):
    """What is open is not the ledger any more: its file was replaced, deleted or cut."""


def _sweep(settings: Settings) -> None:
    """Remove what a killed writer of ours left behind."""
    for folder in settings.hot_folders:
        parts = (folder.inbox, folder.outbox, folder.review, folder.done, folder.failed)
        removed = sweep(folder, parts)
        if removed:
            log.info("%s: %d unfinished files of an earlier run removed", folder.path, removed)


def _make_state_dir(state_dir: Path) -> None:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"{state_dir} cannot be made: {error.strerror}", hint="set state_dir"
        ) from error
    if not os.access(state_dir, os.W_OK | os.X_OK):
        raise StartError(
            f"{state_dir} may not be written by this user", hint="correct its rights or state_dir"
        )


def _close(ledger: Ledger) -> None:
    try:
        ledger.close()
    except LedgerError as error:  # it is lost, or its disk is; all that counted was committed
        log.error("%s", error)


def check_folders(settings: Settings) -> None:
    """``ConfigError`` for hot folders that would feed each other."""
    faults = tuple(overlaps(settings.hot_folders, settings.state_dir))
    if faults:
        raise ConfigError("\n".join(faults), faults=faults)


@contextmanager
def _engines_gone(state_dir: Path) -> Iterator[None]:
    """Hold the lock of every engine there ever was: none of an earlier life works on."""
    locks = {state_dir / EngineIdentity().lock_name, *state_dir.glob("engine-*.lock")}
    with ExitStack() as stack:
        for path in sorted(locks):
            stack.enter_context(exclusive_lock(path, "engine", ENGINE_GONE_SECONDS))
        yield
