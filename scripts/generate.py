"""Generates the Python code of the contract from `protos/` into `client/`.

`python scripts/generate.py` writes it; with `--check` it writes into a temporary
folder and fails if what is committed differs. The generator runs in an
environment of its own (`.venv-gen`), because it is older than the program's: what
grpcio-tools 1.80 writes runs on protobuf 6.31 to 7.x, what a newer one writes does
not.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = ROOT / ".venv-gen"
LOCK = ROOT / "requirements" / "gen.txt"
PACKAGE = Path("graphwire/v1")


def generator_python() -> Path:
    """Returns the generator's interpreter; makes its environment when it is not there."""
    python = GENERATOR / "bin" / "python"
    stamp = GENERATOR / "installed.txt"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        venv.create(GENERATOR, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        stamp.write_bytes(LOCK.read_bytes())
    return python


def generate(target: Path) -> None:
    """Writes the generated package below `target`."""
    python = generator_python()
    protos = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    names = [str(p.relative_to(ROOT / "protos")) for p in protos]
    subprocess.run(
        [
            python,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={ROOT / 'protos'}",
            f"--plugin=protoc-gen-mypy={GENERATOR / 'bin' / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={GENERATOR / 'bin' / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *names,
        ],
        check=True,
    )
    for stub in (target / PACKAGE).glob("*_pb2_grpc.py"):
        if "add_" not in stub.read_text():  # a file without services: nothing to import
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)
    (target / PACKAGE / "__init__.py").write_text(
        '"""The generated code of the contract `graphwire.v1` (see protos/)."""\n'
    )


def differences(committed: Path, fresh: Path) -> list[str]:
    """Returns the names of the files that are not the same in both folders."""
    names = {p.name for p in committed.iterdir() if p.is_file()}
    names |= {p.name for p in fresh.iterdir() if p.is_file()}
    _, mismatch, errors = filecmp.cmpfiles(committed, fresh, sorted(names), shallow=False)
    return sorted(mismatch + errors)


def main() -> int:
    """Runs the script; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare with what is committed")
    committed = ROOT / "client" / PACKAGE
    if not parser.parse_args().check:
        for old in committed.glob("*_pb2*"):
            old.unlink()
        generate(ROOT / "client")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(committed, Path(folder) / PACKAGE)
    if stale:
        print("Not current (run `make generate`): " + ", ".join(stale), file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
