"""Certificates for the tests, and the authorities that they are of."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in PEM.

    Attributes:
        chain: The certificate.
        key: Its key.
        private: The same, as an object.
    """

    chain: bytes
    key: bytes
    private: Key

    def encrypted_key(self) -> bytes:
        """Returns the key with a password."""
        return _pem(self.private, BestAvailableEncryption(b"secret"))

    def write(self, folder: Path, name: str = "tls") -> tuple[Path, Path]:
        """Writes it to `<name>.crt` and `<name>.key`, and returns these."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        replace(certificate, self.chain)
        replace(key, self.key)
        return certificate, key


class Authority:
    """A certificate authority.

    Attributes:
        pem: Its certificate.
    """

    def __init__(self, name: str = "authority") -> None:
        """Makes one."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        dns: Sequence[str] = (),
        uris: Sequence[str] = (),
        addresses: Sequence[str] = (),
        key: Key | None = None,
        expired: bool = False,
    ) -> Certificate:
        """Makes a certificate with these names."""
        private = key or ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
        names += [x509.UniformResourceIdentifier(each) for each in uris]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        builder = _builder(_name(name), self._name, private, expired=expired)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Certificate(signed.public_bytes(Encoding.PEM), _pem(private), private)

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Writes its certificate to `<name>.crt`, and returns that."""
        path = folder / f"{name}.crt"
        replace(path, self.pem)
        return path


def replace(path: Path, content: bytes) -> None:
    """Writes a file as whoever renews certificates does: all at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, *, expired: bool = False
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now - _DAY if expired else now + _DAY)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: Key, encryption: NoEncryption | BestAvailableEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
