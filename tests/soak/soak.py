"""What the programs of this folder share: a private daemon with an image and a registry, containers that stay (the keepers), clients
that do one random thing after the other, the book of what they were told, the inventory that must be the same at the end, and main()."""
import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from casco import SHARE, Daemon, Scratch, processes, program, wait_for  # noqa: E402
from registry import Registry, busybox_layer, layer, write_hosts  # noqa: E402

IMAGE = "docker.io/library/busybox:latest"
KEEPERS = 3
RUNTIME_STATE = pathlib.Path("/run/containerd/runc/default")
# Where cgroups are v2 without the controller (the view of a host that has it in v1), nobody asks for a share of the processors.
CONTROLLERS = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
RUN = ("run", "--cpu-shares", "0") if CONTROLLERS.exists() and "cpu" not in CONTROLLERS.read_text().split() else ("run",)
# Needs nothing of the disk, and no other container's shim.
READS = (("version",), ("tasks", "ls"), ("images", "ls", "-q"), ("containers", "ls", "-q"), ("content", "ls"),
         ("snapshots", "ls"))
# What a client may see of a daemon that dies under its call, or of its own earlier half-done call.
DYING = ("connection", "connect", "unavailable", "EOF", "transport", "reset", "closed", "broken pipe", "deadline")


class Broken(Exception):
    """A promise that was not kept."""


class Worker(threading.Thread):
    """One client that does one random thing after the other, and keeps book of what it was told."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number, self.random = soak, number, random.Random(soak.seed * 1000 + number)
        self.images, self.containers = {}, {}  # name -> True (there), False (gone), None (unknown)
        self.serial, self.done, self.failed, self.problem = 0, 0, 0, None

    def run(self):
        jobs = (self.run_and_remove, self.run_and_remove, self.execute, self.execute, self.tag, self.untag,
                self.pull, self.make, self.unmake, self.detached)
        try:
            while not self.soak.over:
                with self.soak.gate.pass_through():
                    self.random.choice(jobs)()
                    self.done += 1
        except Exception as e:  # pylint: disable=broad-except # handed to the main thread
            self.problem = e

    def name(self, what):
        self.serial += 1
        return f"{what}-{self.number}-{self.serial}"

    def ctr(self, *args):
        """True if the daemon said it is done; None if it may or may not be."""
        began = self.soak.generation
        r = self.soak.daemon.ctr(*args, check=False, timeout=60)
        if r.returncode == 0:
            return True
        self.failed += 1
        if began == self.soak.generation and not any(w.lower() in r.stderr.lower() for w in self.soak.tolerated):
            self.soak.odd.append(f"{' '.join(map(str, args))}: {r.returncode} {r.stderr.strip()[-300:]}")
        return None

    def run_and_remove(self):
        self.ctr(*RUN, "--rm", IMAGE, self.name("short"), "true")

    def execute(self):
        self.ctr("tasks", "exec", "--exec-id", self.name("e"), f"keeper-{self.random.randrange(KEEPERS)}", "true")

    def detached(self):
        name = self.name("det")
        self.ctr(*RUN, "-d", IMAGE, name, "sleep", "0.2")

    def tag(self):
        name = f"example.com/t:{self.name('t')}"
        self.images[name] = self.ctr("images", "tag", IMAGE, name)

    def pick(self, book):
        there = [n for n, v in book.items() if v]
        return self.random.choice(there) if there else None

    def untag(self):
        name = self.pick(self.images)
        if name:
            self.images[name] = None
            if self.ctr("images", "rm", name):
                self.images[name] = False

    def pull(self):
        name = f"soak.test/img/{self.random.randrange(3)}:latest"
        if self.random.random() < 0.5:
            self.ctr("images", "rm", name)
        self.ctr("images", "pull", name)

    def make(self):
        name = self.name("made")
        self.containers[name] = self.ctr("containers", "create", IMAGE, name, "true")

    def unmake(self):
        name = self.pick(self.containers)
        if name:
            self.containers[name] = None
            if self.ctr("containers", "rm", name):
                self.containers[name] = False


class Gate:
    """Clients pass one job at a time; close() waits until none is inside."""

    def __init__(self):
        self.condition, self.inside, self.shut = threading.Condition(), 0, False

    def pass_through(self):
        return self

    def __enter__(self):
        with self.condition:
            self.condition.wait_for(lambda: not self.shut)
            self.inside += 1

    def __exit__(self, *_):
        with self.condition:
            self.inside -= 1
            self.condition.notify_all()

    def close(self):
        with self.condition:
            self.shut = True
            if not self.condition.wait_for(lambda: self.inside == 0, 90):
                raise Broken("a client's call hangs for 90 s")

    def open(self):
        with self.condition:
            self.shut = False
            self.condition.notify_all()


class Soak:
    tolerated = DYING  # what a client may be told beside success
    patience = 2  # until a daemon serves

    def __init__(self, seed, workers):
        self.seed, self.random, self.over, self.generation = seed, random.Random(seed), False, 0
        self.gate, self.odd, self.serve_times, self.workers = Gate(), [], [], []
        self.undo = contextlib.ExitStack()  # each step, whatever became of the others
        try:
            self.set_up()
        except BaseException:
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                self.close()
            raise
        self.workers = [Worker(self, i) for i in range(workers)]

    def set_up(self):
        self.scratch = Scratch()
        self.undo.callback(self.scratch.remove)
        self.registry = Registry(self.scratch.path / "registry")
        self.undo.callback(self.registry.stop)
        self.daemon = Daemon(self.scratch.path)
        write_hosts(self.daemon.certs, "soak.test", self.registry)
        for i in range(3):
            self.registry.push(f"img/{i}", "latest",
                               [busybox_layer(), layer([(f"data-{i}", os.urandom(300_000)), ("etc/x", b"y" * i)])])
        self.prepare()
        self.undo.callback(self.remove_containers)
        self.undo.callback(self.daemon.stop)
        self.daemon.start()
        self.daemon.ctr("images", "import", SHARE / "busybox.tar")
        self.collect()
        self.start_inventory = self.inventory()
        for i in range(KEEPERS):
            self.daemon.ctr(*RUN, "-d", IMAGE, f"keeper-{i}", "sleep", "100000")
        self.keepers = self.keeper_lines()

    def prepare(self):
        """Before the daemon's first start."""

    def remove_containers(self):
        """Those of a daemon that broke: their names are other soaks', too."""
        for line in processes(str(self.scratch.path)):
            if "containerd-shim" in line:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line.split()[0]), signal.SIGKILL)
        for note in self.daemon.state.glob("io.containerd.runtime.v2.task/*/*/fifo"):
            shutil.rmtree(os.readlink(note), ignore_errors=True)
        for state in RUNTIME_STATE.glob("*/state.json"):
            if f"{self.scratch.path}/" in state.read_text(errors="replace"):
                subprocess.run([program("runc"), "--root", RUNTIME_STATE, "delete", "--force", state.parent.name], check=False)

    def rows(self, *args):
        return self.daemon.ctr(*args).stdout.splitlines()[1:]

    def keeper_lines(self):
        return sorted(" ".join(line.split()) for line in self.rows("tasks", "list") if line.startswith("keeper-"))

    def collect(self):
        """Garbage, now: it comes with the removal of an image."""
        self.daemon.ctr("images", "tag", IMAGE, "example.com/collect:now")
        self.daemon.ctr("images", "rm", "--sync", "example.com/collect:now")

    def inventory(self):
        state = self.daemon.state
        return {
            "images": sorted(self.daemon.ctr("images", "ls", "-q").stdout.split()),
            "blobs": sorted(self.daemon.ctr("content", "ls", "-q").stdout.split()),
            "snapshots": sorted(line.split()[0] for line in self.rows("snapshots", "ls")),
            "containers": sorted(self.daemon.ctr("containers", "ls", "-q").stdout.split()),
            "tasks": sorted(line.split()[0] for line in self.rows("tasks", "ls")),
            "leases": sorted(line.split()[0] for line in self.rows("leases", "ls")),
            "ingests": self.rows("content", "active"),
            "shims": [p for p in processes(str(self.scratch.path)) if "containerd-shim" in p],
            "bundles": sorted(str(p.relative_to(state)) for p in state.glob("io.containerd.runtime.v2.task/*/*")),
            "layers": len(list(self.daemon.root.glob("io.containerd.snapshotter.v1.overlayfs/snapshots/*"))),
        }

    def kill_once(self):
        time.sleep(self.random.choice((0.02, 0.1, 0.3, 0.6)) * self.random.random() * 2)
        self.generation += 1
        self.daemon.kill()
        began = time.monotonic()
        self.daemon.start()
        self.serve_times.append(time.monotonic() - began)
        if self.serve_times[-1] > self.patience:
            raise Broken(f"the daemon took {self.serve_times[-1]:.1f} s to serve")
        self.generation += 1
        self.check_workers()

    def probe(self, when, keeper="keeper-0", limit=5):
        """What must work whatever is broken, in time."""
        for command in (*READS, ("tasks", "exec", "--exec-id", "probe", keeper, "true")):
            began = time.monotonic()
            r = self.daemon.ctr(*command, check=False, timeout=30)
            took = time.monotonic() - began
            if r.returncode or took > limit:
                raise Broken(f"{' '.join(command)} {when}: {r.returncode} {r.stderr.strip()} after {took:.1f} s")

    def check_workers(self):
        for w in self.workers:
            if w.problem:
                raise Broken(f"client {w.number}: {w.problem!r}")

    def check_books(self):
        """What was said to be done, with all clients standing still."""
        self.gate.close()
        if self.keeper_lines() != self.keepers:
            raise Broken(f"keepers were {self.keepers}, are {self.keeper_lines()}")
        for book, command in ((lambda w: w.images, ("images", "ls", "-q")), (lambda w: w.containers, ("containers", "ls", "-q"))):
            there = set(self.daemon.ctr(*command).stdout.split())
            for w in self.workers:
                for name, known in book(w).items():
                    if known is not None and known != (name in there):
                        raise Broken(f"{name}: the client was told {'made' if known else 'removed'}")
        self.gate.open()

    def clean_up(self):
        self.over = True
        for w in self.workers:
            if w.ident:  # it was started
                w.join(90)
        for line in self.rows("tasks", "ls"):
            name = line.split()[0]
            self.daemon.ctr("tasks", "kill", "-s", "SIGKILL", name, check=False)
            wait_for(f"{name} to end", lambda n=name: not any(
                x.split()[0] == n and "RUNNING" in x for x in self.rows("tasks", "ls")), 10)
            self.daemon.ctr("tasks", "rm", name, check=False)
        for name in self.daemon.ctr("containers", "ls", "-q").stdout.split():
            self.daemon.ctr("containers", "rm", name)
        for name in self.daemon.ctr("images", "ls", "-q").stdout.split():
            if name != IMAGE:
                self.daemon.ctr("images", "rm", name)
        for line in self.rows("leases", "ls"):
            self.daemon.ctr("leases", "rm", line.split()[0])  # of clients that were killed in between: they expire in a day
        for ref in (line.split()[0] for line in self.rows("content", "active")):
            self.daemon.ctr("content", "rm", ref, check=False)

    def end(self):
        self.clean_up()
        deadline, now = time.monotonic() + 40, None
        while now != self.start_inventory and time.monotonic() < deadline:
            self.collect()
            time.sleep(0.5)
            now = self.inventory()
        if now != self.start_inventory:
            raise Broken("left: " + "; ".join(f"{k}: {v} instead of {self.start_inventory[k]}"
                                              for k, v in now.items() if v != self.start_inventory[k]))

    def close(self):
        self.over = True
        self.undo.close()


def main(doc, make, what, default, *arguments):
    """The command line of a soak: --WHAT N, --workers, --seed, --keep-log and arguments, (names, options) as argparse wants them.
    make(args) gives the soak, whose run(N) does the work."""
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument(f"--{what}", type=int, default=default)
    p.add_argument("--workers", type=int, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--keep-log", metavar="FILE", help="copy the daemon's log there at the end")
    for names, options in arguments:
        p.add_argument(*names, **options)
    args = p.parse_args()
    soak, n = make(args), getattr(args, what)
    try:
        soak.run(n)
    finally:
        for line in sorted(set(soak.odd))[:40]:
            print("refused:", line)
        if args.keep_log:
            pathlib.Path(args.keep_log).write_text(soak.daemon.log())
    soak.close()
    print(f"ok: {n} {what}, {sum(w.done for w in soak.workers)} jobs")
