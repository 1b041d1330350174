"""The admin port: channelz, health, reflection; and a server on a unix socket."""

from __future__ import annotations

import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire import Client, HealthStatus, Tls
from graphwire.v1 import threads_pb2_grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from tests.certificates import Authority
from tests.e2e.drive import DEADLINE, new_thread
from tests.e2e.gates import until
from tests.e2e.test_reflection_and_health import GRPCURL
from tests.servers import ServerProcess

ADMIN_SERVICES = [
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def process(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server with mTLS and an admin port on loopback."""
    folder = tmp_path_factory.mktemp("admin")
    chain, key = authority.issue("graphwire", addresses=["127.0.0.1"]).write(folder)
    env = {
        "GRAPHWIRE_ADMIN_LISTEN": "127.0.0.1:0",
        "GRAPHWIRE_TLS_CERTIFICATE_FILE": str(chain),
        "GRAPHWIRE_TLS_KEY_FILE": str(key),
        "GRAPHWIRE_TLS_CLIENT_CA_FILE": str(authority.write(folder)),
    }
    process = ServerProcess(folder / "graphwire.db", env=env).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def admin(process: ServerProcess) -> str:
    """Where the admin port is, as the server says."""
    until(lambda: re.search(r"admin +\S+:\d+\n", process.log))
    found = re.search(r"admin +(\S+:\d+)\n", process.log)
    assert found is not None
    return found[1]


def test_channelz_tells_of_the_connections_of_callers(
    process: ServerProcess, admin: str, authority: Authority, tmp_path: Path
) -> None:
    chain, key = authority.issue("somebody").write(tmp_path)
    tls = Tls(ca_file=authority.write(tmp_path), certificate_file=chain, key_file=key)
    with grpc.insecure_channel(admin) as channel, Client(process.address, tls=tls) as client:
        channelz: Any = channelz_pb2_grpc.ChannelzStub(channel)

        def servers() -> dict[int, Any]:
            found = channelz.GetServers(channelz_pb2.GetServersRequest(), timeout=DEADLINE).server
            return {server.ref.server_id: server.data for server in found}

        # Each look is a call to the admin port, and is still under way.
        first, second = servers(), servers()
        assert len(first) == 2
        (admin_id,) = (i for i in first if second[i].calls_started > first[i].calls_started)
        (main_id,) = first.keys() - {admin_id}
        assert second[admin_id].calls_started > second[admin_id].calls_succeeded
        client.threads.create()
        # A call counts as over a moment after its caller has the answer.
        until(lambda: servers()[main_id].calls_succeeded == first[main_id].calls_succeeded + 1)
        assert servers()[main_id].calls_started == first[main_id].calls_started + 1
        request = channelz_pb2.GetServerSocketsRequest(server_id=main_id)
        (found,) = channelz.GetServerSockets(request, timeout=DEADLINE).socket_ref
        get = channelz_pb2.GetSocketRequest(socket_id=found.socket_id)
        assert channelz.GetSocket(get, timeout=DEADLINE).socket.data.streams_started == 1


def test_the_admin_port_has_health_and_reflection_and_no_threads(
    process: ServerProcess, admin: str
) -> None:
    listed = subprocess.run(
        [GRPCURL, "-plaintext", admin, "list"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert listed.stdout.split() == ADMIN_SERVICES
    with Client(admin) as client:
        assert client.health("graphwire.v1.Runs") is HealthStatus.SERVING
    with grpc.insecure_channel(admin) as channel, pytest.raises(grpc.RpcError) as caught:
        new_thread(threads_pb2_grpc.ThreadsStub(channel))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_channelz_is_not_among_the_services_for_callers(grpc_channel: grpc.Channel) -> None:
    channelz: Any = channelz_pb2_grpc.ChannelzStub(grpc_channel)
    with pytest.raises(grpc.RpcError) as caught:
        channelz.GetServers(channelz_pb2.GetServersRequest(), timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_server_listens_on_a_unix_socket_also_after_it_was_killed(tmp_path: Path) -> None:
    # Not in the folder of the test: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.sock"
        process = ServerProcess(tmp_path / "graphwire.db")
        process.address = f"unix:{path}"
        process.start()
        assert process.address == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        with Client(process.address) as client:
            client.threads.create(thread_id="t")
        process.kill()
        assert path.exists()
        process.start()
        with Client(process.address) as client:
            assert client.threads.get("t").thread_id == "t"
        assert process.stop() == 0
        assert not path.exists()
