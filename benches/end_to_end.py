#!/usr/bin/env python3
"""Measures real `cairn` processes on this machine, over loopback, and prints the figures.

    cargo build --release -p cairn-node
    python3 benches/end_to_end.py [--cairn target/release/cairn] [PART ...]

Parts (all by default): import (with memory and start), live, fresh, idle. Nothing but Python's standard library
is needed. Data goes to a temporary directory on the disk of --dir, because an fsync into a
RAM disk measures nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
DEADLINE = 180.0


def records(path, count, salt):
    """Writes `count` JSON lines that become facts of about 300 bytes."""
    with open(path, "w") as out:
        for n in range(count):
            text = f"{salt} reading {n}: " + "temperature and humidity of the attic; " * 4
            out.write(json.dumps({"topic": f"sensor/{n % 16}", "text": text[:170]}) + "\n")


class Node:
    """One `cairn` process and its data directory."""

    def __init__(self, bench, name):
        self.bench, self.name, self.dir = bench, name, bench.dir / name
        self.process, self.http, self.mesh = None, None, None

    def cairn(self, *args):
        command = [self.bench.cairn, "--data-dir", str(self.dir), "--json", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def start(self, *peers):
        """Starts it and returns how long that took, until the API answered."""
        args = ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--trust-clock"]
        for peer in peers:
            args += ["--peer", peer.mesh]
        if self.bench.profile:
            args += ["--profile", self.bench.profile]
        began = time.monotonic()
        log = open(self.bench.dir / f"{self.name}.log", "ab")
        command = [self.bench.cairn, "--data-dir", str(self.dir), *args]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.bench.running.append(self)
        until(lambda: self.runtime(), f"{self.name} to start")
        until(lambda: self.status(), f"{self.name} to answer")
        return time.monotonic() - began

    def runtime(self):
        try:
            runtime = json.loads((self.dir / "runtime.json").read_text())
        except (FileNotFoundError, ValueError):
            return False
        if runtime["pid"] != self.process.pid:
            return False
        self.http, self.mesh = runtime["http"], runtime["mesh"]
        return True

    def status(self):
        try:
            with urllib.request.urlopen(f"http://{self.http}/v1/status", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    def has(self, fact):
        try:
            urllib.request.urlopen(f"http://{self.http}/v1/facts/{fact}", timeout=10).close()
        except OSError:
            return False
        return True

    def facts(self):
        return (self.status() or {"facts": {"total": 0}})["facts"]["total"]

    def pending(self):
        return self.status()["facts"]["pending"]

    def proc(self, file, key):
        for line in (Path("/proc") / str(self.process.pid) / file).read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0])
        raise KeyError(key)

    def rss(self):
        """Resident memory now and at its peak, in MiB."""
        return self.proc("status", "VmRSS") / 1024, self.proc("status", "VmHWM") / 1024

    def cpu(self):
        """Seconds of CPU used so far."""
        stat = (Path("/proc") / str(self.process.pid) / "stat").read_text().rsplit(")", 1)[1]
        fields = stat.split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def switches(self):
        """How often each of its threads gave up the processor by itself."""
        counts = {}
        for task in (Path("/proc") / str(self.process.pid) / "task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    counts[task.name] = int(line.split()[1])
        return counts

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.bench.running.remove(self)


def until(done, what, pause=0.01):
    """Polls until something holds; returns how long it took."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > DEADLINE:
            sys.exit(f"waited {DEADLINE:.0f} s for {what}")
        time.sleep(pause)
    return time.monotonic() - began


class Bench:
    def __init__(self, args):
        self.cairn = str(Path(args.cairn).resolve())
        self.dir = Path(tempfile.mkdtemp(prefix="cairn-bench-", dir=args.dir))
        self.profile, self.spacing = args.profile, args.spacing
        self.running, self.figures = [], []

    def say(self, name, value, unit, note=""):
        self.figures.append({"name": name, "value": round(value, 3), "unit": unit, "note": note})
        print(f"{name:<58}{value:>12,.2f} {unit:<8}  {note}", flush=True)

    def mesh(self, name):
        """The founder of a new mesh, and its invite."""
        founder = Node(self, name)
        init = founder.cairn("init", name, "--spacing", self.spacing, "--address", "127.0.0.1:9")
        return founder, init["invite"]

    def member(self, name, invite):
        node = Node(self, name)
        node.cairn("join", invite)
        return node

    def file(self, count, salt):
        path = self.dir / f"{salt}.jsonl"
        records(path, count, salt)
        return str(path)

    def loopback(self):
        """Bytes that went over the loopback device so far."""
        for line in Path("/proc/net/dev").read_text().splitlines():
            if line.strip().startswith("lo:"):
                return int(line.split(":")[1].split()[0])
        return 0

    def finish(self):
        for node in list(self.running):
            node.stop()
        shutil.rmtree(self.dir)


def timed_import(node, path):
    """Seconds that `cairn import` took, its own start included; all is durable then."""
    began = time.monotonic()
    done = node.cairn("import", path)
    return time.monotonic() - began, done["accepted"]


def bench_import(bench):
    """A lone node: import until durable, then until sealed."""
    for count in (50_000, 100_000):
        node, _ = bench.mesh(f"import{count // 1000}k")
        path = bench.file(count, f"import{count}")
        node.start()
        before, cpu = node.proc("io", "write_bytes"), node.cpu()
        took, accepted = timed_import(node, path)
        assert accepted == count, f"{accepted} of {count} accepted"
        sealed = took + until(lambda: node.pending() == 0, "sealing")
        bench.say(f"import {count:,} records until durable", count / took, "facts/s")
        bench.say(f"import {count:,} records until sealed", count / sealed, "facts/s")
        bench.say("  processor time of the node, with sealing",
                  (node.cpu() - cpu) / count * 1e6, "µs/fact")
        now, peak = node.rss()
        bench.say(f"  memory of the node afterwards ({count:,} facts)", now, "MiB", f"peak {peak:.0f}")
        until(lambda: node.proc("io", "write_bytes") > before, "the disk")
        wrote = node.proc("io", "write_bytes") - before
        bench.say("  bytes written per fact", wrote / count, "B",
                  f"of which {os.path.getsize(path) // count} B a line")
        if count == 100_000:
            bench_start(bench, node)
        node.stop()


def bench_start(bench, node):
    """How long a start takes with the facts that the node has now."""
    count = round(node.status()["facts"]["total"], -3)
    node.stop()
    seconds = node.start()
    bench.say(f"start with {count:,} facts until the API answers", seconds * 1000, "ms")
    bench.say("  processor time of the start", node.cpu() * 1000, "ms",
              f"{node.rss()[0]:.0f} MiB afterwards")


def bench_live(bench):
    """Two connected nodes: facts imported at one, until they are at the other."""
    count = 50_000
    a, invite = bench.mesh("live-a")
    b = bench.member("live-b", invite)
    a.start()
    b.start(a)
    until(lambda: b.facts() == a.facts() and a.facts() >= 2, "the join")
    until(lambda: a.pending() == 0 and b.pending() == 0, "the join to be sealed")
    base, path = a.facts(), bench.file(count, "live")
    before, cpu = bench.loopback(), [node.cpu() for node in (a, b)]
    began = time.monotonic()
    took, _ = timed_import(a, path)
    until(lambda: b.facts() >= base + count, "B to have all facts")
    there = time.monotonic() - began
    sent = bench.loopback() - before - os.path.getsize(path)
    until(lambda: a.pending() == 0 and b.pending() == 0, "both to have sealed")
    sealed = time.monotonic() - began
    bench.say("two nodes: import until durable at A", count / took, "facts/s")
    bench.say("two nodes: import at A until present at B", count / there, "facts/s")
    bench.say("two nodes: import at A until sealed at both", count / sealed, "facts/s")
    bench.say("  bytes over the network per fact, blocks included", sent / count, "B",
              "the client's bytes taken off")
    spent(bench, count, (a, b), cpu)
    one(bench, a, b)
    a.stop()
    b.stop()


def spent(bench, count, nodes, cpu):
    """Processor time since `cpu` was read, and memory."""
    for node, before in zip(nodes, cpu):
        used = (node.cpu() - before) / count * 1e6
        bench.say(f"  processor time of {node.name}", used, "µs/fact",
                  f"{node.rss()[0]:.0f} MiB, peak {node.rss()[1]:.0f}")


def one(bench, a, b):
    """One fact at a time: until durable at A, until present at B."""
    durable, present = [], []
    body = json.dumps({"topic": "one", "text": "a note"}).encode()
    token = a.dir / "api.token"
    headers = {"authorization": f"Bearer {token.read_text().strip()}",
               "content-type": "application/json"}
    for _ in range(50):
        # A lone fact: those that come close together share an announcement.
        time.sleep(0.1)
        request = urllib.request.Request(f"http://{a.http}/v1/facts", body, headers)
        began = time.monotonic()
        fact = json.load(urllib.request.urlopen(request, timeout=10))["fact_id"]
        durable.append(time.monotonic() - began)
        until(lambda: b.has(fact), "one fact", 0.001)
        present.append(time.monotonic() - began)
    for name, times in (("durable at A", durable), ("readable at B", present)):
        times.sort()
        bench.say(f"one fact until {name}, median", times[len(times) // 2] * 1000, "ms",
                  f"worst of {len(times)}: {times[-1] * 1000:.0f}")


def bench_fresh(bench):
    """A fresh node joins a mesh that has 100,000 sealed facts."""
    count = 100_000
    a, invite = bench.mesh("fresh-a")
    a.start()
    timed_import(a, bench.file(count, "fresh"))
    until(lambda: a.pending() == 0, "sealing")
    b = bench.member("fresh-b", invite)
    began, before, cpu = time.monotonic(), bench.loopback(), [a.cpu(), 0.0]
    b.start(a)
    until(lambda: b.facts() >= count, "the fresh node", 0.05)
    there = time.monotonic() - began
    until(lambda: b.pending() == 0 and b.status()["tip"] == a.status()["tip"], "the chain", 0.05)
    took = time.monotonic() - began
    bench.say(f"fresh node until it has {count:,} facts", count / there, "facts/s")
    bench.say("fresh node until it has the same tip", count / took, "facts/s", f"{took:.2f} s")
    bench.say("  bytes over the network per fact", (bench.loopback() - before) / count, "B")
    spent(bench, count, (a, b), cpu)
    a.stop()
    b.stop()


def bench_idle(bench):
    """Three connected nodes that have nothing to do."""
    seconds = 60
    a, invite = bench.mesh("idle-a")
    nodes = [a, bench.member("idle-b", invite), bench.member("idle-c", invite)]
    a.start()
    for node in nodes[1:]:
        node.start(a)
    same = lambda: len({node.facts() for node in nodes}) == 1 and a.facts() >= 3
    until(same, "the joins")
    until(lambda: all(node.pending() == 0 for node in nodes), "the joins to be sealed")
    until(lambda: all(n.status()["peers"]["connected"] >= 1 for n in nodes), "connections")
    # Connections and pings that follow the last change.
    time.sleep(8)
    before = [node.cpu() for node in nodes]
    woken = [node.switches() for node in nodes]
    sent = bench.loopback()
    time.sleep(seconds)
    sent = bench.loopback() - sent
    for node, cpu, switches in zip(nodes, before, woken):
        share = (node.cpu() - cpu) / seconds * 100
        # Threads that ended in between answered the script's own questions.
        wakeups = sum(count - switches.get(task, count) for task, count in node.switches().items())
        bench.say(f"idle {node.name}: share of a core over {seconds} s", share, "%",
                  f"{wakeups / seconds:.1f} wakeups/s, {node.rss()[0]:.0f} MiB")
    bench.say("idle: bytes over loopback, all three nodes", sent / seconds, "B/s")
    for node in nodes:
        node.stop()


def own_network():
    """Starts again in a network namespace of its own if the system lets it, so that nobody else's
    bytes over loopback are counted."""
    into = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if os.environ.get("CAIRN_BENCH_NETWORK") or not shutil.which("ip"):
        return
    try:
        able = subprocess.run([*into, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    if able:
        os.environ["CAIRN_BENCH_NETWORK"] = "own"
        os.execvp(into[0], [*into, sys.executable, *sys.argv])
    print("no network namespace: bytes over loopback include everybody's", flush=True)


PARTS = {"import": bench_import, "live": bench_live, "fresh": bench_fresh, "idle": bench_idle}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cairn", default="target/release/cairn", help="the program")
    parser.add_argument("--dir", default=".", help="where the temporary directory goes")
    parser.add_argument("--profile", help="tiny, small or server")
    parser.add_argument("--spacing", default="100ms", help="time between blocks")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    own_network()
    bench = Bench(args)
    load = os.getloadavg()[0]
    print(f"{bench.cairn}, {os.cpu_count()} cores, load before: {load:.1f}, spacing {args.spacing}",
          flush=True)
    try:
        for name in args.parts or PARTS:
            PARTS[name](bench)
        if args.json:
            Path(args.json).write_text(json.dumps(bench.figures, indent=1) + "\n")
    finally:
        bench.finish()


if __name__ == "__main__":
    main()
