"""Runs every bench of this folder, one after the other: `make bench`; WRITE=1 renews docs/figures.md."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Runs them all, even after one that fails; says at the end which failed."""
    failed = []
    for bench in sorted(HERE.glob("*.py")):
        if bench.name.startswith("__"):
            continue
        print(f"== {bench.name}", flush=True)
        if subprocess.run([sys.executable, bench], check=False).returncode != 0:
            failed.append(bench.name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
