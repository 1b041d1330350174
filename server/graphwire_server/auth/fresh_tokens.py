"""Fresh service tokens, and what a token file has of them. Needs nothing but Python."""

from __future__ import annotations

import hashlib
import json
import re
import secrets


def new_token() -> str:
    """Returns a fresh token: 256 random bits, in characters that need no quoting."""
    return f"gw_{secrets.token_hex(32)}"


def digest(token: str) -> str:
    """Returns the SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def table_of(name: str, token: str) -> str:
    """Returns the lines that a token file has for a caller and his token."""
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", name)
    key = name if bare else json.dumps(name, ensure_ascii=False)
    return f'[{key}]\ntoken_sha256 = "{digest(token)}"\n'
