"""What `graphwire serve` says to a transport that can't be: at once, naming the setting."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from graphwire_server.endpoints import Endpoint
from graphwire_server.rpc.transport import Transport, TransportSettingsError
from graphwire_server.settings import Settings

from tests.certificates import Authority, Key
from tests.cli.command import Result, call
from tests.servers import WEATHER

BOTH_WAYS_OUT = (
    "can be reached from other machines, and there is no TLS: give --tls-certificate-file and "
    "--tls-key-file, or, where something else protects it, --allow-plaintext"
)
LOCAL = ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/run/g.sock"]
OPEN = ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "graphwire.example:1", "localhost.example:1"]


def serve(*options: str, env: dict[str, str] | None = None) -> Result:
    """Calls the command with what keeps it from starting."""
    return call("serve", str(WEATHER), *options, env=env)


# --- plain text ---


@pytest.mark.parametrize("address", OPEN)
def test_plain_text_beyond_this_machine_is_refused_unless_asked_for_by_name(address: str) -> None:
    with pytest.raises(TransportSettingsError) as caught:
        Transport.read(Settings(listen=address))
    assert str(caught.value) == f"--listen: {address} {BOTH_WAYS_OUT}"
    with pytest.raises(TransportSettingsError) as caught:
        Transport.read(Settings(admin_listen=address))
    assert str(caught.value) == f"--admin-listen: {address} {BOTH_WAYS_OUT}"
    allowed = Transport.read(Settings(listen=address, admin_listen=address, allow_plaintext=True))
    assert (str(allowed.listen), allowed.tls_files) == (address, None)
    assert not allowed.admin_has_tls


@pytest.mark.parametrize("address", LOCAL)
def test_plain_text_within_this_machine_is_fine(address: str) -> None:
    read = Transport.read(Settings(listen=address, admin_listen=address))
    assert (str(read.listen), read.tls_files, read.admin_has_tls) == (address, None, False)


def test_the_admin_port_has_tls_where_others_can_connect() -> None:
    tls: dict[str, Any] = {"tls_certificate_file": "tls.crt", "tls_key_file": "tls.key"}
    for listen, plain, has_tls in (
        ("127.0.0.1:1", False, False),
        ("0.0.0.0:1", False, True),
        ("0.0.0.0:1", True, False),
    ):
        settings = Settings(listen=OPEN[0], admin_listen=listen, allow_plaintext=plain, **tls)
        assert Transport.read(settings).admin_has_tls is has_tls
        assert Transport.read(settings).tls_files is not None


def test_the_command_refuses_plain_text_with_code_2() -> None:
    result = serve("--listen", "0.0.0.0:0")
    assert result.err == f"graphwire: --listen: 0.0.0.0:0 {BOTH_WAYS_OUT}\n"
    assert (result.code, result.out) == (2, "")


# --- files ---


def test_what_can_not_be_used_for_tls_is_named_with_its_setting(tmp_path: Path) -> None:
    authority = Authority()
    right = authority.issue("graphwire", dns=["localhost"])
    chain, key = right.write(tmp_path)
    _, other_key = authority.issue("other").write(tmp_path, "other")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(right.encrypted_key())
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    privates: list[Key] = [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
    ]
    kinds = [
        authority.issue("x", key=private).write(tmp_path, f"kind{number}")
        for number, private in enumerate(privates)
    ]
    kind = "is of a kind that clients of gRPC refuse: make one that is RSA, or EC on P-256 or P-384"
    missing = tmp_path / "missing"
    for files, option, said in (
        ((missing, key), "--tls-certificate-file", f"{missing} can't be read: No such file or"),
        ((chain, missing), "--tls-key-file", f"{missing} can't be read: No such file or"),
        ((tmp_path, key), "--tls-certificate-file", f"{tmp_path} can't be read: Is a directory"),
        ((garbage, key), "--tls-certificate-file", f"{garbage} has no certificate in PEM, or a"),
        ((key, key), "--tls-certificate-file", f"{key} has no certificate in PEM, or a"),
        ((chain, chain), "--tls-key-file", f"{chain} has no private key in PEM, or a damaged"),
        ((chain, encrypted), "--tls-key-file", f"{encrypted} is encrypted: give the key without"),
        ((chain, other_key), "--tls-key-file", f"{other_key} is not the key of the first"),
        (kinds[0], "--tls-key-file", f"{kinds[0][1]} {kind}"),
        (kinds[1], "--tls-key-file", f"{kinds[1][1]} {kind}"),
    ):
        given = ("--tls-certificate-file", str(files[0]), "--tls-key-file", str(files[1]))
        result = serve("--listen", "127.0.0.1:0", *given)
        assert result.err.startswith(f"graphwire: {option}: {said}"), result
        assert result.err.count("\n") == 1
        assert (result.code, result.out) == (3, "")
    given = ("--tls-certificate-file", str(chain), "--tls-key-file", str(key))
    result = serve("--listen", "127.0.0.1:0", *given, "--tls-client-ca-file", str(garbage))
    assert result.err == (
        f"graphwire: --tls-client-ca-file: {garbage} has no certificate in PEM, or a damaged one\n"
    )


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"GRAPHWIRE_TLS_KEY_FILE": "k"},
            "--tls-certificate-file: --tls-key-file can't be used without it",
        ),
        (
            {"GRAPHWIRE_TLS_CERTIFICATE_FILE": "c", "GRAPHWIRE_TLS_CLIENT_CA_FILE": "a"},
            "--tls-key-file: --tls-certificate-file and --tls-client-ca-file can't be used "
            "without it",
        ),
        (
            {"GRAPHWIRE_TLS_CLIENT_CA_FILE": "a"},
            "--tls-certificate-file: --tls-client-ca-file can't be used without it",
        ),
        (
            {
                "GRAPHWIRE_MAX_CONNECTION_AGE_SECONDS": "60",
                "GRAPHWIRE_MAX_CONNECTION_AGE_GRACE_SECONDS": "22",
            },
            "GRAPHWIRE_MAX_CONNECTION_AGE_GRACE_SECONDS: should be more than 1.5 times "
            "--heartbeat-seconds (15), so that streams end before their connection does, and is 22",
        ),
        (
            {"GRAPHWIRE_ADMIN_LISTEN": "50052"},
            "--admin-listen: '50052' is no address: write host:port, such as 127.0.0.1:50051, "
            "or unix:/path",
        ),
        ({"GRAPHWIRE_LISTEN": "unix:"}, "--listen: 'unix:' is no address: write unix:/path"),
        (
            {
                "GRAPHWIRE_LISTEN": "unix:/run/g.sock",
                "GRAPHWIRE_WORKERS": "2",
                "GRAPHWIRE_DATABASE": "postgresql://db/x",
            },
            "--workers: several processes can't share a unix socket",
        ),
    ],
)
def test_settings_that_contradict_one_another_are_code_2(
    given: dict[str, str], message: str
) -> None:
    result = serve(env=given)
    assert result.err == f"graphwire: {message}\n"
    assert (result.code, result.out) == (2, "")


# --- addresses ---


@pytest.mark.parametrize("text", ["unix:/run/g.sock", "unix:///run/g.sock"])
def test_a_unix_socket_is_written_in_two_ways(text: str) -> None:
    assert Endpoint.read(text) == Endpoint(path="/run/g.sock")


@pytest.mark.parametrize("text", ["", ":1", "::1:50051", "host:", "host:x", "host:65536", "unix:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Endpoint.read(text)


def test_a_unix_socket_that_somebody_serves_is_not_taken_away(tmp_path: Path) -> None:
    path = f"/tmp/graphwire-test-{os.getpid()}.sock"
    try:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen(1)
            result = serve("--listen", f"unix:{path}")
        assert result.err == f"graphwire: can't listen on unix:{path}: Address already in use\n"
        assert result.code == 3
    finally:
        os.unlink(path)
    result = serve("--listen", f"unix:{tmp_path}/none/g.sock")
    assert result.err == (
        f"graphwire: can't listen on unix:{tmp_path}/none/g.sock: {tmp_path}/none is no folder\n"
    )
