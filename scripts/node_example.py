"""Installs, type-checks and runs the TypeScript example against a server of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "node"


def main() -> int:
    """Runs the example; returns its exit code."""
    npm = shutil.which("npm")
    assert npm is not None
    subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=EXAMPLE, check=True)
    subprocess.run([npm, "run", "--silent", "typecheck"], cwd=EXAMPLE, check=True)
    with tempfile.TemporaryDirectory() as folder:
        serve = [sys.executable, "-m", "graphwire", "serve"]
        server = subprocess.Popen(
            [
                *serve,
                str(ROOT / "examples" / "weather_agent"),
                "--listen",
                "127.0.0.1:0",
                "--database",
                str(Path(folder) / "graphwire.db"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            lines = (line for line in server.stdout if line.startswith("listening on "))
            address = next(lines).removeprefix("listening on ").strip()
            return subprocess.run([npm, "start", "--silent", "--", address], cwd=EXAMPLE).returncode
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
