"""Knocks at real nodes with a QUIC client that is not of our making (aioquic), as people who do not
belong, and counts what they get to see. `cargo xtask strangers` installs aioquic and runs it.

    python3 strangers.py --cairn PATH [--attempts N]

A mesh of two nodes is founded. Each kind of stranger comes without a knock, with the knock of another
mesh, and with the right one. Then all of them come again, N times in all, and the node's memory is
looked at; then a tenth as often, while one member writes and the other reads. Every check that fails
ends the program with a message and a status of 1.
"""

import argparse
import datetime
import hashlib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicConnectionId
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

MESH = "brandywine field station"
NAMES = ("observatory", "boathouse")
NOTE = "the heron came back to the north pond"
# TLS alerts as QUIC carries them (RFC 9001, section 4.8), and what a listener of ours says to
# whoever finishes the handshake and then talks nonsense (hello invalid).
ALERT = 0x100
DECRYPT_ERROR, CERTIFICATE_REQUIRED, NO_APPLICATION_PROTOCOL = ALERT + 51, ALERT + 116, ALERT + 120
BAD_HELLO = 0x18
# KiB by which strangers may make a node grow, however many.
GROWTH = 4 * 1024
# How long an answer may take, and how long one must stay away.
PATIENCE, SILENCE = 20.0, 1.5


def check(holds, *words):
    if not holds:
        sys.exit("FAILED: " + " ".join(str(word) for word in words))


class Node:
    """A real node in a directory of its own."""

    def __init__(self, cairn, home, name):
        self.cairn, self.dir, self.name = cairn, home / name, name
        self.process, self.http, self.mesh = None, None, None

    def run(self, *args):
        command = [self.cairn, "--data-dir", self.dir, "--json", *args]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        check(done.returncode == 0, self.name, args, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def start(self):
        command = [self.cairn, "--data-dir", self.dir, "run"]
        command += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        log = open(f"{self.dir}.log", "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        runtime = self.dir / "runtime.json"
        within(60, f"{self.name} starts", runtime.exists)
        places = json.loads(runtime.read_text())
        host, port = places["mesh"].rsplit(":", 1)
        self.http, self.mesh = places["http"], (host, int(port))
        within(60, f"{self.name} answers", lambda: self.get("/v1/status"))

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=30) as answer:
                return json.load(answer)
        except OSError:
            return None

    def note(self, text):
        token = (self.dir / "api.token").read_text().strip()
        body = json.dumps({"topic": "note", "text": text}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.http}/v1/facts", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["fact_id"]

    def memory(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


def within(seconds, what, look):
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        check(time.monotonic() < deadline, "not in time:", what)
        time.sleep(0.005)
    return seen


def knock(mesh):
    """docs/protocol.md, Connection."""
    key = hashlib.sha256(b"cairn/knock/1" + bytes.fromhex(mesh)).digest()
    nonce = os.urandom(8)
    return nonce + hashlib.sha256(key + nonce).digest()[:12]


def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    year = datetime.timedelta(days=365)
    now = datetime.datetime(2024, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    return builder.not_valid_before(now).not_valid_after(now + 50 * year).sign(key, None)


class Stranger:
    """What somebody shows, and how the node ends it if he knocks."""

    def __init__(self, who, end, alpn=("cairn/1",), shown=None, key=None):
        self.who, self.end = who, end
        self.configuration = QuicConfiguration(
            is_client=True, alpn_protocols=list(alpn), verify_mode=ssl.CERT_NONE
        )
        self.configuration.certificate, self.configuration.private_key = shown, key

    def connection(self, first_id):
        connection = QuicConnection(configuration=self.configuration)
        if first_id:
            # aioquic has no setting for it.
            connection._peer_cid = QuicConnectionId(cid=first_id, sequence_number=None)
            connection._original_destination_connection_id = first_id
        return connection


class Seen:
    """Everything that a stranger got: datagrams, and what was in them for him."""

    def __init__(self):
        self.datagrams, self.told, self.end, self.certificate = [], [], None, None

    def take(self, event):
        if isinstance(event, events.StreamDataReceived):
            self.told.append(event.data)
        elif isinstance(event, events.DatagramFrameReceived):
            self.told.append(event.data)
        elif isinstance(event, events.ConnectionTerminated):
            self.end = event.error_code
            self.told.append(event.reason_phrase.encode())


def attempt(stranger, address, first_id, patience):
    """Dials; says nonsense if the handshake works; until the node ends it or time is over."""
    seen, connection = Seen(), stranger.connection(first_id)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(address)
        connection.connect(address, now=time.monotonic())
        deadline = time.monotonic() + patience
        while seen.end is None and time.monotonic() < deadline:
            for data, _ in connection.datagrams_to_send(now=time.monotonic()):
                link.send(data)
            timer = connection.get_timer()
            wait = min(deadline, timer or deadline) - time.monotonic()
            link.settimeout(max(wait, 0.001))
            try:
                data = link.recv(65536)
                seen.datagrams.append(data)
                connection.receive_datagram(data, address, now=time.monotonic())
            except TimeoutError:
                connection.handle_timer(now=time.monotonic())
            except ConnectionRefusedError:
                sys.exit("FAILED: the node is gone")
            while (event := connection.next_event()) is not None:
                seen.take(event)
                if isinstance(event, events.HandshakeCompleted):
                    # A control stream with a frame of three bytes that mean nothing.
                    connection.send_stream_data(0, b"\x00\x01\x03\x00\x00\x00\xee\xee\xee")
        shown = connection.tls._peer_certificate if connection.tls else None
        seen.certificate = shown.public_bytes(Encoding.DER) if shown else b""
    return seen


def strangers(member):
    """Everybody who does not belong; `member` is the certificate of somebody who does."""
    mine = ed25519.Ed25519PrivateKey.generate()
    own = certificate(mine)
    return [
        Stranger("without a certificate", CERTIFICATE_REQUIRED),
        Stranger("with another key", BAD_HELLO, shown=own, key=mine),
        Stranger("with a member's certificate, not its key", DECRYPT_ERROR, shown=member, key=mine),
        Stranger("with another protocol", NO_APPLICATION_PROTOCOL, ("h3",), own, mine),
    ]


def one_by_one(nodes, mesh, secrets):
    first = Stranger("anybody", None, shown=None)
    answered = attempt(first, nodes[1].mesh, knock(mesh), PATIENCE)
    member = x509.load_der_x509_certificate(answered.certificate)
    crowd = strangers(member)
    for stranger in crowd:
        for words, first_id in (("no knock", None), ("a knock elsewhere", knock("07" * 32))):
            seen = attempt(stranger, nodes[0].mesh, first_id, SILENCE)
            check(not seen.datagrams, stranger.who, words, "was answered:", seen.datagrams)
        seen = attempt(stranger, nodes[0].mesh, knock(mesh), PATIENCE)
        check(seen.end == stranger.end, stranger.who, "ended with", seen.end, seen.told)
        received = b"\n".join([*seen.datagrams, *seen.told, seen.certificate])
        for what, secret in secrets:
            check(secret not in received, stranger.who, "was told", what)
        told = b" ".join(seen.told).decode(errors="replace")
        print(f"{stranger.who}: silence; with the knock {seen.end:#x} {told!r}, "
              f"{sum(map(len, seen.datagrams))} bytes")
    return crowd


def crowd_comes(crowd, address, mesh, attempts, over, each_thousand=lambda: None):
    """All of them, again and again; every second one knocks. Gives how many answers came to those who
    did not."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.connect(address)
    for number in range(attempts):
        if number % 1000 == 0:
            each_thousand()
        stranger = crowd[number // 2 % len(crowd)]
        if number % 2:
            seen = attempt(stranger, address, knock(mesh), PATIENCE)
            check(seen.end in (stranger.end, 0x02, 0x15), stranger.who, "ended with", seen.end)
        else:
            connection = stranger.connection(None)
            connection.connect(address, now=time.monotonic())
            for data, _ in connection.datagrams_to_send(now=time.monotonic()):
                silent.send(data)
    silent.settimeout(SILENCE)
    try:
        over.append(len(silent.recv(65536)))
    except TimeoutError:
        over.append(0)


def latencies(writer, reader, label, pause, more):
    """Milliseconds until a fact that one node wrote can be read at the other, and that a status takes."""
    facts, statuses, number = [], [], 0
    while more(number):
        began = time.monotonic()
        fact = writer.note(f"{label} {number}")
        within(60, "the fact arrives", lambda: reader.get(f"/v1/facts/{fact}"))
        facts.append(1000 * (time.monotonic() - began))
        began = time.monotonic()
        check(reader.get("/v1/status"), "no status")
        statuses.append(1000 * (time.monotonic() - began))
        number += 1
        time.sleep(pause)
    return facts, statuses


def figures(label, times):
    facts, statuses = times
    print(f"{label}: fact until readable {statistics.median(facts):.1f} ms "
          f"(worst {max(facts):.1f}), status {statistics.median(statuses):.1f} ms "
          f"(worst {max(statuses):.1f}), {len(facts)} times")


def all_at_once(nodes, crowd, mesh, attempts):
    crowd_comes(crowd, nodes[0].mesh, mesh, 40, [])
    figures("quiet", latencies(nodes[1], nodes[0], "quiet", 0.1, lambda n: n < 40))
    # Nobody writes: facts stay in memory too.
    began, over, seen = time.monotonic(), [], []
    crowd_comes(crowd, nodes[0].mesh, mesh, attempts, over, lambda: seen.append(nodes[0].memory()))
    seen.append(nodes[0].memory())
    print(f"{attempts} strangers in {time.monotonic() - began:.0f} s; memory in KiB at the start and "
          f"after each thousand {seen}")
    check(seen[-1] - seen[0] < GROWTH, "memory grew by", seen[-1] - seen[0], "KiB")
    come = threading.Thread(
        target=crowd_comes, args=(crowd, nodes[0].mesh, mesh, attempts // 10, over), daemon=True
    )
    come.start()
    figures("in the crowd", latencies(nodes[1], nodes[0], "crowd", 1.0, lambda _: come.is_alive()))
    check(over == [0, 0], "the crowd failed, or somebody who did not knock was answered:", over)
    peers = nodes[0].get("/v1/peers")["peers"]
    check(any(peer["connected"] for peer in peers), "the member lost its link", peers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--attempts", type=int, default=10_000)
    arguments = parser.parse_args()
    nodes = []
    with tempfile.TemporaryDirectory(prefix="cairn-strangers-") as home:
        try:
            nodes = [Node(arguments.cairn, Path(home), name) for name in NAMES]
            nodes[0].run("init", MESH, "--name", NAMES[0], "--spacing", "200ms")
            nodes[0].start()
            invite = nodes[0].run("invite", "create")["invite"]
            nodes[1].run("join", invite, "--name", NAMES[1])
            nodes[1].start()
            nodes[0].note(NOTE)
            status = within(60, "they are linked", lambda: linked(nodes))
            mesh = status["mesh"]["id"]
            ids = [node.get("/v1/status")["node_id"] for node in nodes]
            secrets = [("the mesh id", mesh.encode()), ("the mesh id", bytes.fromhex(mesh)),
                       ("the mesh's name", MESH.encode()), ("a note", NOTE.encode()),
                       *(("a name", name.encode()) for name in NAMES),
                       *(("a node id", node.encode()) for node in ids)]
            crowd = one_by_one(nodes, mesh, secrets)
            all_at_once(nodes, crowd, mesh, arguments.attempts)
        finally:
            for node in nodes:
                if node.process:
                    node.process.kill()
                    node.process.wait()
    print("strangers: all as it should be")


def linked(nodes):
    status = nodes[0].get("/v1/status")
    return status if status and status["peers"]["connected"] == 1 else None


if __name__ == "__main__":
    main()
