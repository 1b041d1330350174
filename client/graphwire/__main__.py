"""`python -m graphwire` is the `graphwire` command."""

from __future__ import annotations

from graphwire_server.__main__ import main

if __name__ == "__main__":
    main()
