"""A file that is read again when it has changed, while the server goes on."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from graphwire_server.auth.setup_errors import AuthSetupError, UnusableFileError
from graphwire_server.file_versions import FileVersion, version_of

T = TypeVar("T")

_log = structlog.get_logger("graphwire.auth")

#: How often it is looked at, in seconds, at the most.
_LOOK_SECONDS = 1.0
_MAX_BYTES = 1024 * 1024


class ChangingFile(Generic[T]):
    """What a file says. Of a new version that can't be used it says so once, and keeps the old.

    It tries that version again all the same: what is wrong may pass.

    Attributes:
        generation: How often what it says has changed.
    """

    def __init__(
        self,
        setting: str,
        path: Path,
        parse: Callable[[bytes], T],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the file.

        Args:
            setting: The setting that names it, for errors and log lines.
            path: The file.
            parse: Makes of its content what it says, or raises UnusableFileError.
            clock: Tells seconds.

        Raises:
            AuthSetupError: It can't be used.
        """
        self.generation = 0
        self._setting = setting
        self._path = path
        self._parse = parse
        self._clock = clock
        self._version = version_of(path)
        #: Which version can't be used, and why; None: the last one that was read can.
        self._unusable: tuple[FileVersion | None, str] | None = None
        self._look_at = clock() + _LOOK_SECONDS
        self._reading: asyncio.Task[None] | None = None
        try:
            self._value = self._read()
        except UnusableFileError as error:
            raise AuthSetupError(f"{setting}: {path}: {error}") from None

    async def current(self) -> T:
        """Returns what the file says, now or a second ago at the most."""
        now = self._clock()
        if now >= self._look_at and self._reading is None:
            self._look_at = now + _LOOK_SECONDS
            version = version_of(self._path)
            if version != self._version or self._unusable is not None:
                self._version = version
                self._reading = asyncio.create_task(self._read_again())
        if self._reading is not None:
            await asyncio.shield(self._reading)
        return self._value

    async def _read_again(self) -> None:
        # On a thread of its own: the others may all be busy with nodes.
        thread = ThreadPoolExecutor(1, thread_name_prefix="auth-file")
        try:
            self._value = await asyncio.get_running_loop().run_in_executor(thread, self._read)
        except UnusableFileError as error:
            self._keep_the_old(str(error))
        except Exception as error:  # noqa: BLE001  # whatever it was, the calls must go on
            # Without its text, which may quote the file.
            where = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
            self._keep_the_old(f"can't be read: {type(error).__name__}", where)
        else:
            self._unusable = None
            self.generation += 1
            _log.info("auth_file_read", setting=self._setting, file=str(self._path))
        finally:
            self._reading = None
            thread.shutdown(wait=False)

    def _keep_the_old(self, reason: str, where: str | None = None) -> None:
        if self._unusable == (self._version, reason):
            return
        self._unusable = (self._version, reason)
        _log.warning(
            "auth_file_unusable",
            setting=self._setting,
            file=str(self._path),
            error=reason,
            hint="what the file said before stays in force; it is tried again",
            **({"where": where} if where else {}),
        )

    def _read(self) -> T:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise UnusableFileError(f"can't be read: {error.strerror}") from None
        if len(data) > _MAX_BYTES:
            raise UnusableFileError("is larger than 1 MiB")
        return self._parse(data)
