"""What the settings say of connections: certificates, pings, ages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from graphwire_server.endpoints import Endpoint
from graphwire_server.rpc.tls import ServerTls, TlsFiles
from graphwire_server.settings import Settings

#: gRPC counts in milliseconds, in 32 bits.
_MOST_MS = 2**31 - 1


class TransportSettingsError(Exception):
    """The settings of the transport contradict one another; the text says how, and what to do."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How a server listens.

    Attributes:
        listen: Where.
        admin: Where channelz is; None: nowhere.
        tls_files: The certificates; None: plain text.
        admin_has_tls: Whether the admin port uses them, too.
        options: For the gRPC server.
        stream_seconds: How long a stream may last; None: for ever.
    """

    listen: Endpoint
    admin: Endpoint | None
    tls_files: TlsFiles | None
    admin_has_tls: bool
    options: tuple[tuple[str, int], ...]
    stream_seconds: float | None

    @classmethod
    def read(cls, settings: Settings) -> Transport:
        """Reads the settings.

        Raises:
            TransportSettingsError: They contradict one another, or would listen in plain text where
                nobody said so.
        """
        listen = _endpoint("--listen", settings.listen)
        admin = (
            _endpoint("--admin-listen", settings.admin_listen) if settings.admin_listen else None
        )
        files = _tls_files(settings)
        if files is None and not (listen.is_local or settings.allow_plaintext):
            raise TransportSettingsError(
                f"--listen: {listen} can be reached from other machines, and there is no TLS: give "
                "--tls-certificate-file and --tls-key-file, or, where something else protects it, "
                "--allow-plaintext"
            )
        admin_is_plain = admin is None or admin.is_local or settings.allow_plaintext
        if files is None and not admin_is_plain:
            raise TransportSettingsError(
                f"--admin-listen: {admin} can be reached from other machines, and there is no TLS: "
                "give --tls-certificate-file and --tls-key-file, or, where something else "
                "protects it, --allow-plaintext"
            )
        return cls(
            listen=listen,
            admin=admin,
            tls_files=files,
            admin_has_tls=not admin_is_plain,
            options=tuple(_options(settings)),
            stream_seconds=_stream_seconds(settings),
        )

    def load_tls(self) -> ServerTls | None:
        """Returns the certificates; None: plain text. Raises TlsError."""
        return None if self.tls_files is None else ServerTls(self.tls_files)


def _endpoint(name: str, text: str) -> Endpoint:
    try:
        return Endpoint.read(text)
    except ValueError as error:
        raise TransportSettingsError(f"{name}: {error}") from None


def _tls_files(settings: Settings) -> TlsFiles | None:
    given = {
        name: getattr(settings, name)
        for name in ("tls_certificate_file", "tls_key_file", "tls_client_ca_file")
    }
    if not any(given.values()):
        return None
    for name in ("tls_certificate_file", "tls_key_file"):
        if not given[name]:
            others = " and ".join(_option(other) for other, value in given.items() if value)
            raise TransportSettingsError(f"{_option(name)}: {others} can't be used without it")
    client_ca = given["tls_client_ca_file"]
    return TlsFiles(
        certificate=Path(given["tls_certificate_file"]),
        key=Path(given["tls_key_file"]),
        client_ca=Path(client_ca) if client_ca else None,
    )


def _option(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def _stream_seconds(settings: Settings) -> float | None:
    if not settings.max_connection_age_seconds:
        return None
    # A quiet stream is looked at when a heartbeat is due.
    seconds = settings.max_connection_age_grace_seconds - 1.5 * settings.heartbeat_seconds
    if seconds <= 0:
        raise TransportSettingsError(
            "GRAPHWIRE_MAX_CONNECTION_AGE_GRACE_SECONDS: should be more than 1.5 times "
            f"--heartbeat-seconds ({settings.heartbeat_seconds:g}), so that streams end before "
            f"their connection does, and is {settings.max_connection_age_grace_seconds:g}"
        )
    return seconds


def _options(settings: Settings) -> list[tuple[str, int]]:
    options = [
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        # Of the two the longer one counts; this one is a minute if nobody says.
        ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        # Pings without a call, too: they keep open what a proxy would close.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        (
            "grpc.http2.min_recv_ping_interval_without_data_ms",
            _ms(settings.min_ping_interval_seconds),
        ),
    ]
    if settings.max_connection_idle_seconds:
        options.append(("grpc.max_connection_idle_ms", _ms(settings.max_connection_idle_seconds)))
    if settings.max_connection_age_seconds:
        grace = settings.max_connection_age_grace_seconds
        options += [
            ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(grace)),
        ]
    return options


def _ms(seconds: float) -> int:
    return min(round(seconds * 1000), _MOST_MS)
