"""Programs that tests start, and that end with them."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import AnyStr


class Program(subprocess.Popen[AnyStr]):
    """A process that is killed where its test fails.

    Leaving the `with` of a plain `Popen` waits for the process, for ever if it has to: what
    keeps a test from ending it would keep the test from failing as well.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kills it if the body has failed; waits for its end."""
        if exc_type is not None:
            self.kill()
        super().__exit__(exc_type, value, traceback)
