"""A server that is ended and started again, on one database, with its clients hanging on."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterable
from multiprocessing.connection import wait
from pathlib import Path

from tests.crash.blows import Blow, BlowKind, Death
from tests.crash.faults import PLAN, Plan
from tests.crash.faulty_server import main
from tests.crash.ledger import FOLDER
from tests.crash.links import Links
from tests.forked import Forked

PROJECT = Path(__file__).parent / "project"

#: How long, in seconds, runs may go on after SIGTERM.
GRACE = 1.0
#: How long, in seconds, what a killed server had is kept for it on Postgres. On SQLite the next
#: one has it at once: there no lease must lapse, however busy the machine is.
LEASE, LEASE_ON_SQLITE = 2.0, 60.0
#: How long, in seconds, a server may take to listen, and to be gone after SIGTERM.
_START_SECONDS, _STOP_SECONDS = 60.0, 30.0
#: How long, in seconds, a drain goes on before it is cut.
_CUT_SECONDS = 0.05


class Host:
    """One server after the other, on one database.

    Attributes:
        links: How clients get to the server that is up.
        ledgers: The folder of the ledgers.
        plan: At which commit it dies.
        deaths: The ends that were brought about, in order.
        trouble: What is wrong with the server, if it can't be used any more.
    """

    def __init__(self, folder: Path, database: str) -> None:
        """Takes an empty folder for everything else, and a database; `start` starts it."""
        self._database = database
        self.links = Links()
        self.ledgers = folder / "ledgers"
        self.ledgers.mkdir(parents=True)
        self.plan = Plan(folder / "plan")
        self.deaths: list[Death] = []
        self.trouble = ""
        self._folder = folder
        self._lock = threading.Condition()
        self._blows: deque[Blow] = deque()
        self._blow: Blow | None = None
        self._timer: threading.Timer | None = None
        self._struck = False
        self._standing_down = False
        self._closing = False
        self._process: Forked | None = None
        self._supervisor = threading.Thread(target=self._supervise, name="host", daemon=True)

    @property
    def log(self) -> str:
        """All that the servers have written."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def start(self) -> Host:
        """Starts the first server, and waits for it."""
        self._output.touch()
        self._supervisor.start()
        self.links.get()
        return self

    def strike(self, blows: Iterable[Blow]) -> None:
        """Ends the server in these ways, one after the other, each time it is up again."""
        with self._lock:
            self._blows = deque(blows)
            self._standing_down = False
            self._aim()
            self._start_timer()

    def stand_down(self) -> None:
        """Ends the server no more. If it is just being ended, waits for that."""
        with self._lock:
            self._blows.clear()
            self._standing_down = True
            self.plan.disarm()
            if self._timer is not None:
                self._timer.cancel()
            self._lock.wait_for(lambda: not self._is_struck() or self.trouble, _STOP_SECONDS)

    def stop(self) -> None:
        """Stops the server with SIGTERM.

        Raises:
            AssertionError: It does not stop as it should, or was in trouble before.
        """
        self.stand_down()
        if not self.trouble:
            self.links.get()
        code = self._close(signal.SIGTERM)
        assert not self.trouble, self.trouble
        assert code == 0, f"the server stopped with {code}:\n{self.log[-4000:]}"

    def discard(self) -> None:
        """Kills the server, whatever is wrong with it."""
        self.stand_down()
        self._close(signal.SIGKILL)

    def _close(self, number: signal.Signals) -> int | None:
        with self._lock:
            self._closing = True
            self._signal(number)
        self._supervisor.join(_STOP_SECONDS)
        with self._lock:
            self._signal(signal.SIGKILL)
        self._supervisor.join()
        self.links.give_up("the host is closed")
        self.plan.close()
        return self._process.poll() if self._process else None

    @property
    def _output(self) -> Path:
        return self._folder / "server.log"

    def _supervise(self) -> None:
        while not self._closing:
            address = self._spawn()
            if address:
                self.links.up(address)
                with self._lock:
                    self._start_timer()
            assert self._process is not None
            code = self._process.wait()
            self.links.down()
            self._process_ended(code)
            if self.trouble:
                self.links.give_up(self.trouble)
                return

    def _spawn(self) -> str:
        """Starts a server; returns its address, or nothing if it ended before it had one."""
        written = self._output.stat().st_size
        environment = {
            FOLDER: str(self.ledgers),
            PLAN: str(self._folder / "plan"),
            "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": str(GRACE),
            "GRAPHWIRE_LEASE_SECONDS": str(
                LEASE if self._database.startswith("postgresql://") else LEASE_ON_SQLITE
            ),
        }
        listen = ("--listen", "127.0.0.1:0")
        arguments = ["serve", str(PROJECT), *listen, "--database", self._database]
        with self._lock:
            self._process = Forked(main, arguments, environment, self._output)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            ended = wait([self._process.sentinel], 0.005)
            with self._output.open("rb") as output:
                output.seek(written)
                for line in output.read().decode(errors="replace").splitlines(keepends=True):
                    if line.startswith("listening on ") and line.endswith("\n"):
                        return line.removeprefix("listening on ").strip()
            if ended or time.monotonic() > deadline:
                self._process.kill()
                return ""

    def _process_ended(self, code: int) -> None:
        at = time.time_ns() // 1000
        with self._lock:
            if self._closing:
                return
            blow = self._blow
            if blow is None or not self._is_struck():
                self.trouble = f"the server ended by itself with {code}"
            elif code not in _codes(blow.kind):
                self.trouble = f"the server ended with {code} after {blow}"
            else:
                self.deaths.append(Death(at, blow))
                self._aim()
            self._lock.notify_all()

    def _is_struck(self) -> bool:
        """Tells whether the present blow has begun to end the server."""
        if self._blow is None:
            return False
        return self._struck if self._blow.side is None else self.plan.fired

    def _aim(self) -> None:
        """Takes the next blow, and arms the plan if it is about commits."""
        self._struck = False
        self._blow = self._blows.popleft() if self._blows else None
        if self._blow is not None and self._blow.side is not None:
            self.plan.arm(int(self._blow.when), self._blow.side)

    def _start_timer(self) -> None:
        """Starts the clock of a blow that is about time."""
        blow = self._blow
        if blow is not None and blow.side is None:
            self._timer = threading.Timer(blow.when, self._carry_out, [blow])
            self._timer.daemon = True
            self._timer.start()

    def _carry_out(self, blow: Blow) -> None:
        with self._lock:
            if self._blow is not blow or self._standing_down or self._struck:
                return
            self._struck = True
            process = self._process
            self._signal(signal.SIGKILL if blow.kind is BlowKind.KILL else signal.SIGTERM)
        assert process is not None
        if blow.kind is BlowKind.CUT and not wait([process.sentinel], _CUT_SECONDS):
            process.kill()
        elif not wait([process.sentinel], _STOP_SECONDS):
            process.kill()  # what remains is that its code is wrong

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def _codes(kind: BlowKind) -> tuple[int, ...]:
    match kind:
        case BlowKind.DRAIN:
            return (0,)
        case BlowKind.CUT:
            return (0, -signal.SIGKILL)
    return (-signal.SIGKILL,)
