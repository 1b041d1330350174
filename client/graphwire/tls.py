"""TLS, as a client uses it: whom it trusts, who it is, whom it expects."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

#: The variables of the environment, by field of `Tls`.
VARIABLES = {
    "ca_file": "GRAPHWIRE_CA_FILE",
    "certificate_file": "GRAPHWIRE_CLIENT_CERTIFICATE_FILE",
    "key_file": "GRAPHWIRE_CLIENT_KEY_FILE",
    "server_name": "GRAPHWIRE_SERVER_NAME",
}

_YES, _NO = ("1", "true", "yes", "on", "t", "y"), ("0", "false", "no", "off", "f", "n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a client uses TLS. The files are PEM, and read when the client is made.

    A client whose certificate is renewed has to be made anew, before the old one expires.

    Attributes:
        ca_file: The authorities that are trusted; None: those that gRPC brings along.
        certificate_file: The client's own certificate and those up to its authority, for
            servers that ask for one (mTLS); None: none.
        key_file: The private key of that certificate.
        server_name: The name that the server's certificate must have; None: that of the target.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        """Checks what belongs together.

        Raises:
            ValueError: A certificate without its key, or a key without its certificate.
        """
        if (self.certificate_file is None) is not (self.key_file is None):
            missing, given = ("key_file", "certificate_file")
            if self.certificate_file is None:
                missing, given = given, missing
            raise ValueError(f"{missing}: {given} can't be used without it")

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of a channel.

        Raises:
            ValueError: A file can't be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read("ca_file", self.ca_file),
            private_key=_read("key_file", self.key_file),
            certificate_chain=_read("certificate_file", self.certificate_file),
        )

    def options(self) -> dict[str, Any]:
        """Returns the options of a channel."""
        if self.server_name is None:
            return {}
        return {
            "grpc.ssl_target_name_override": self.server_name,
            "grpc.default_authority": self.server_name,
        }


def from_environment(*, wanted: bool = False) -> Tls | None:
    """Returns what the environment says: with GRAPHWIRE_TLS, or any of `VARIABLES`.

    None: plain text, as nothing is said, or GRAPHWIRE_TLS=0. Not so if TLS is `wanted` anyway.

    Raises:
        ValueError: GRAPHWIRE_TLS is neither yes nor no, or a certificate has no key.
    """
    given = {field: os.environ[name] for field, name in VARIABLES.items() if os.environ.get(name)}
    said = os.environ.get("GRAPHWIRE_TLS", "").lower()
    if said not in {"", *_YES, *_NO}:
        raise ValueError(f"GRAPHWIRE_TLS is {said!r}: it must be 1 or 0")
    if wanted or said in _YES or (given and said not in _NO):
        return Tls(**given)
    return None


def in_words_of_the_environment(text: str) -> str:
    """Returns what an error says of the fields of a `Tls` with their variables in their place."""
    for field, name in VARIABLES.items():
        text = re.sub(rf"\b{field}\b", name, text)
    return text


def _read(name: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        found = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{name}: {path} can't be read: {error.strerror}") from error
    # gRPC would only say that the server can't be reached.
    if b"-----BEGIN " not in found:
        raise ValueError(f"{name}: {path} has nothing in PEM")
    return found
