"""The server's certificates, read anew without a restart when their files change."""

from __future__ import annotations

import datetime
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import structlog

from graphwire_server.file_versions import FileVersion, version_of

_log = structlog.get_logger("graphwire.tls")

_NO_CERTIFICATE = "has no certificate in PEM, or a damaged one"
_NO_KEY = "has no private key in PEM, or a damaged one"
_ENCRYPTED = "is encrypted: give the key without a password"
_REFUSED_KEY = (
    "is of a kind that clients of gRPC refuse: make one that is RSA, or EC on P-256 or P-384"
)
#: P-256 and P-384.
_CURVES = ("secp256r1", "secp384r1")

#: How long files may be wrong before that is told, in seconds: while a pair is being renewed, one
#: of the two is there before the other.
_HALF_WRITTEN_SECONDS = 1.0

#: Which versions of the files there are; None for one that is not there.
_Versions = tuple[FileVersion | None, ...]


class TlsError(Exception):
    """The certificates can't be used; the text names the setting and says why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates are, all in PEM.

    Attributes:
        certificate: The server's certificate, then those between it and the authority.
        key: Its private key, not encrypted.
        client_ca: The authorities of clients; None: clients need no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None

    def versions(self) -> _Versions:
        """Returns what tells whether a file has changed."""
        paths = (self.certificate, self.key, self.client_ca)
        return tuple(version_of(path) for path in paths if path)


@dataclass(frozen=True, slots=True)
class _Certificates:
    """What was read, and is right.

    Attributes:
        chain: The server's certificate, then those between it and the authority; PEM.
        key: Its private key; PEM.
        client_ca: The authorities of clients, PEM; None: clients need no certificate.
        expires: When the server's own certificate expires.
    """

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    expires: datetime.datetime

    def configuration(self) -> Any:
        """Returns them as gRPC takes them."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.chain)], root_certificates=self.client_ca
        )


class ServerTls:
    """The certificates of a server: those that were right last."""

    def __init__(self, files: TlsFiles) -> None:
        """Reads them for the first time.

        Raises:
            TlsError: They can't be used.
        """
        self._files = files
        self._versions = files.versions()
        self._certificates = _read(files)
        self._unusable: _UnusableFiles | None = None
        self._lock = threading.Lock()

    def warn_if_expired(self) -> None:
        """Warns of a certificate that clients will refuse."""
        _warn_if_expired(self._certificates)

    def credentials(self) -> grpc.ServerCredentials:
        """Returns credentials for a port, which follow the files."""
        given = self._certificates

        def changed() -> Any:
            """Returns other certificates for a handshake that begins, on a thread of gRPC's."""
            nonlocal given
            with self._lock:
                if self._look() is given:
                    return None
                given = self._certificates
                return given.configuration()

        return grpc.dynamic_ssl_server_credentials(
            given.configuration(),
            changed,
            require_client_authentication=self._files.client_ca is not None,
        )

    def _look(self) -> _Certificates:
        # Before they are read: what is written meanwhile is seen the next time.
        versions = self._files.versions()
        if versions != self._versions or self._unusable is not None:
            self._read_anew(versions)
        return self._certificates

    def _read_anew(self, versions: _Versions) -> None:
        self._versions = versions
        try:
            certificates = _read(self._files)
        except TlsError as error:
            found = self._unusable
            if found is None or (found.versions, found.reason) != (versions, str(error)):
                found = self._unusable = _UnusableFiles(versions, str(error), time.monotonic())
            found.tell()
            return
        self._unusable = None
        self._certificates = certificates
        _log.info("certificates_reloaded", expires=certificates.expires.isoformat())
        _warn_if_expired(certificates)


@dataclass(slots=True)
class _UnusableFiles:
    """Files that can't be used: each handshake looks again.

    Attributes:
        versions: Which files.
        reason: Why not.
        since: When that was seen first, by the monotonic clock.
        told: Whether the log has it.
    """

    versions: _Versions
    reason: str
    since: float
    told: bool = False

    def tell(self) -> None:
        """Warns of them once, unless they may just be half written."""
        if self.told or time.monotonic() - self.since < _HALF_WRITTEN_SECONDS:
            return
        self.told = True
        _log.warning(
            "certificates_not_reloaded",
            reason=self.reason,
            hint="the ones read before stay in use until the files are right",
        )


def _read(files: TlsFiles) -> _Certificates:
    """Reads the files, and checks what gRPC would only refuse without a word."""
    # Takes a tenth of a second to import: without TLS nobody waits for it.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    chain_pem = _bytes(files.certificate, "--tls-certificate-file")
    key_pem = _bytes(files.key, "--tls-key-file")
    try:
        own = x509.load_pem_x509_certificates(chain_pem)[0]
    except ValueError:
        raise _error("--tls-certificate-file", files.certificate, _NO_CERTIFICATE) from None
    try:
        key = load_pem_private_key(key_pem, password=None)
    except TypeError:
        raise _error("--tls-key-file", files.key, _ENCRYPTED) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _error("--tls-key-file", files.key, _NO_KEY) from None
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else ""
    if not (isinstance(key, rsa.RSAPrivateKey) or curve in _CURVES):
        raise _error("--tls-key-file", files.key, _REFUSED_KEY)
    if key.public_key() != own.public_key():
        raise _error(
            "--tls-key-file",
            files.key,
            f"is not the key of the first certificate in {files.certificate} "
            "(--tls-certificate-file), which must be the server's own",
        )
    client_ca = None
    if files.client_ca is not None:
        client_ca = _bytes(files.client_ca, "--tls-client-ca-file")
        try:
            x509.load_pem_x509_certificates(client_ca)
        except ValueError:
            raise _error("--tls-client-ca-file", files.client_ca, _NO_CERTIFICATE) from None
    return _Certificates(chain_pem, key_pem, client_ca, own.not_valid_after_utc)


def _bytes(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _error(setting, path, f"can't be read: {error.strerror}") from error


def _error(setting: str, path: Path, what: str) -> TlsError:
    return TlsError(f"{setting}: {path} {what}")


def _warn_if_expired(certificates: _Certificates) -> None:
    if certificates.expires <= datetime.datetime.now(datetime.UTC):
        _log.warning(
            "certificate_expired",
            expires=certificates.expires.isoformat(),
            hint="clients refuse it; write a new one into its file",
        )
