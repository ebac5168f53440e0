#!/usr/bin/env python3
"""Containers come and go while somebody kills whatever works for them, and then the host is as it was.

    churn.py [--cycles 10000] [--workers 5] [--seed N] [--calm SECONDS] [--keep-log FILE]

Not part of `make check`, which runs it with few cycles (tests/integration/test_soak.py).  A cycle makes a container in one of several
ways, does something with it and deletes it, until the daemon says it is gone; or an image is pulled and removed.  Meanwhile SIGKILL comes
at random moments to the daemon (which is started again), shims, their verbs, the runtime (our own inside of the shim, and a runc by its
command line), the containers' processes, the clients and the workers that pull.  What must hold:

  - a delete that failed works when it is asked for again, as long as it takes the daemon to be there again, and then some;
  - containers that ran before go on;
  - at the end there is the same as at the start: processes, mounts, cgroups in each hierarchy, network namespaces, interfaces and
    rules, files, sockets and fifos in the folders of state, root and runtime, and what the daemon lists.
"""
import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import IMAGE, RUN, Broken, Soak, Worker, main  # noqa: E402
from netspace import PLUGINS, Netspace, bridge_list, leftovers, write_conf  # noqa: E402
from casco import cgroups, is_namespace, network_namespaces, processes, program  # noqa: E402

SHORT, LONG = ("sleep", "0.05417"), ("sleep", "1000.5417")  # words that no other program's arguments have
PULLED = "soak.test/img"
PATIENCE = 60


class Cycler(Worker):
    def run(self):
        ways = [self.attached, self.attached, self.attached_by_runc, self.detached, self.executed, self.paused, self.killed, self.pulled]
        if self.soak.space:
            ways += [self.networked, self.published]
        try:
            while not self.soak.over and self.soak.take():
                name = self.name("churn")
                self.random.choice(ways)(name)
                self.finish(name)
                self.done += 1
        except Exception as e:  # pylint: disable=broad-except # handed to the main thread
            self.problem = e

    def attached(self, name, *more):
        self.ctr(*RUN, "--rm", *more, IMAGE, name, "true")

    def attached_by_runc(self, name):
        self.attached(name, "--runc-binary", self.soak.runc)

    def detached(self, name):
        self.ctr(*RUN, "-d", IMAGE, name, *SHORT)

    def executed(self, name):
        self.ctr(*RUN, "-d", IMAGE, name, *LONG)
        self.ctr("tasks", "exec", "--exec-id", "one", name, "true")
        self.ctr("tasks", "exec", "-d", "--exec-id", "two", name, *SHORT)

    def paused(self, name):
        self.ctr(*RUN, "-d", IMAGE, name, *LONG)
        self.ctr("tasks", "pause", name)

    def killed(self, name):
        self.ctr(*RUN, "-d", IMAGE, name, *LONG)
        self.ctr("tasks", "kill", "-a", "-s", "SIGKILL", name)

    def pulled(self, _):
        """By the daemon, or by ctr itself; two clients may want the same image."""
        image = f"{PULLED}/{self.number % 3}:latest"
        self.ctr("images", "pull", *self.random.choice(((), ("--local",))), image)
        self.ctr("images", "rm", image)

    def networked(self, name):
        self.attached(name, "--cni")

    def published(self, name):
        self.ctr(*RUN, "-d", "--cni", "-p", f"127.0.0.1:{20000 + self.number}:80", IMAGE, name, *LONG)

    def finish(self, name):
        """Deletes it, whatever there is of it."""
        end, said = time.monotonic() + PATIENCE, []
        while True:
            said = [self.soak.daemon.ctr(*c, name, check=False) for c in (("tasks", "rm", "-f"), ("containers", "rm"))]
            if said[1].returncode == 0 or "not found" in said[1].stderr:
                return
            if time.monotonic() > end:
                raise Broken(f"{name} cannot be deleted: " + "; ".join(r.stderr.strip() for r in said))
            time.sleep(0.02)


class Churn(Soak):
    tolerated = ("",)  # everybody is killed: any call may fail
    patience = 10  # a daemon first cleans up behind shims that died with the one before

    def __init__(self, seed, workers, calm=0.15):
        """calm: how long nobody is killed, on average."""
        self.left, self.lock, self.kills, self.calm = 0, threading.Lock(), {}, calm
        self.space = Netspace() if (PLUGINS / "bridge").exists() else None  # the daemon's and its clients', too
        if self.space:
            write_conf("10-churn.conflist", bridge_list())
        super().__init__(seed, 0)
        self.workers = [Cycler(self, i) for i in range(workers)]

    def set_up(self):
        super().set_up()
        # another file, so that the shim runs it as it would a foreign one
        self.runc = self.scratch.path / "runc"
        shutil.copy(program("runc"), self.runc)
        for way in ("attached", "attached_by_runc", "executed", "pulled", *(["published"] if self.space else [])):  # folders that stay
            w = Cycler(self, 99)
            getattr(w, way)(f"first-{way}")
            w.finish(f"first-{way}")
        self.collect()
        self.host_before = self.host()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    # --- who is killed ---

    @staticmethod
    def words(pid):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]

    @staticmethod
    def parent(pid):
        return re.search(r"^PPid:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]

    def is_ours(self, pid):
        """A worker's words say nothing: its parent's do."""
        parent = self.parent(pid)
        return parent != "0" and any(str(self.scratch.path) in w for w in self.words(parent))

    def kind(self, pid):
        """What a process does for the churn; None: nothing."""
        words = self.words(pid)
        if not words:
            return None
        if tuple(words) in (SHORT, LONG, ("true",)):
            return "container"
        if os.path.basename(words[0]) == "containerd-transfer" and self.is_ours(pid):
            return "worker"
        if words[0] == program("ctr") and any(w.startswith(("churn-", PULLED)) for w in words):
            return "client"
        if not any(w.startswith("churn-") for w in words):
            return None
        if words[0] == str(self.runc):
            return "runc"
        if not words[0].endswith("containerd-shim-runc-v2"):
            return None
        if words[-1] in ("start", "delete"):
            return f"shim {words[-1]}"
        parent = self.parent(pid)
        if parent == "0" or self.words(parent) != words:
            return "shim"
        return "runtime" if os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid") else "container"

    def victims(self):
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, TypeError):
                    found.setdefault(self.kind(int(name)), []).append(int(name))
        found.pop(None, None)
        return found

    def kill_process(self):
        there = self.victims()
        if not there:
            return
        what = self.random.choice(sorted(there))
        pid = self.random.choice(there[what])
        with contextlib.suppress(OSError, TypeError):
            fd = os.pidfd_open(pid)
            try:
                if self.kind(pid) == what:  # and no other that has its number by now
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self.kills[what] = self.kills.get(what, 0) + 1
            finally:
                os.close(fd)

    def kill_somebody(self):
        if self.random.random() < 0.07:
            self.kill_once()
            self.kills["daemon"] = self.kills.get("daemon", 0) + 1
        else:
            time.sleep(self.random.random() * self.calm * 2)
            self.kill_process()

    # --- what must be as it was ---

    def files(self):
        for top in (self.daemon.state, self.daemon.root, pathlib.Path("/run/containerd"), pathlib.Path("/run/runc")):
            for folder, folders, names in os.walk(top):
                if os.path.basename(folder) in ("fs", "rootfs"):
                    folders.clear()
                    continue
                yield from (os.path.join(folder, n) for n in (*folders, *names))
        yield from (str(p) for p in pathlib.Path("/tmp").glob("pty-*"))

    def host(self):
        marks = (str(self.scratch.path), "/run/containerd", "/run/netns")
        return {
            "processes": {p for mark in (marks[0], SHORT[1], LONG[1]) for p in processes(mark) if "containerd --config" not in p},
            "mounts": {line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                       if any(m in line for m in marks)},
            "cgroups": {c for c in cgroups() if not is_namespace(c)},
            "network namespaces": network_namespaces(),
            "networks": set(leftovers(self.daemon.root)) if self.space else set(),
            "files": set(self.files()),
        }

    def left_over(self):
        now = self.host()
        left = [f"{what}: {sorted(now[what] - self.host_before[what])[:20]}" for what in now if now[what] - self.host_before[what]]
        gone = self.host_before["files"] - now["files"]
        return left + ([f"files gone: {sorted(gone)[:20]}"] if gone else [])

    def forget_clients_fifos(self):
        """A client that is killed before the daemon knows of its task leaves its fifos, as the original's does: no more than were killed,
        and nobody has them open."""
        orphans = {p.parent for p in pathlib.Path("/run/containerd/fifo").glob("*/*-stdout") if not self.has_reader(p)}
        new = {p for p in orphans if str(p) not in self.host_before["files"]}
        if len(new) > self.kills.get("client", 0):
            raise Broken(f"{len(new)} folders of fifos stay, of {self.kills.get('client', 0)} clients that were killed")
        for p in new:
            shutil.rmtree(p)

    def forget_late_records(self):
        """What a client had asked for before it was killed may be done after we looked: records without a task."""
        late = [c for c in self.daemon.ctr("containers", "ls", "-q").stdout.split() if c.startswith("churn-")]
        tasks = {line.split()[0] for line in self.rows("tasks", "ls")}
        if len(late) > self.kills.get("client", 0) or tasks & set(late):
            raise Broken(f"containers stay: {late}, tasks: {sorted(tasks)}")
        for c in late:
            self.daemon.ctr("containers", "rm", c)

    @staticmethod
    def has_reader(fifo):
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            return True
        except OSError as e:
            return e.errno != errno.ENXIO

    def check_host(self):
        for name in self.daemon.ctr("images", "ls", "-q").stdout.split():
            if name.startswith(PULLED):
                self.daemon.ctr("images", "rm", name)
        self.forget_late_records()
        # the leases of clients that were cut short are theirs for a day, and what they hold: snapshots, ingests
        for line in self.rows("leases", "ls"):
            self.daemon.ctr("leases", "rm", line.split()[0])
        end, left = time.monotonic() + 45, ["?"]
        while left and time.monotonic() < end:
            self.collect()
            time.sleep(0.5)
            left = self.left_over()
            if len(left) == 1 and "/run/containerd/fifo/" in left[0] and time.monotonic() > end - 30:
                self.forget_clients_fifos()
        if left:
            raise Broken("left: " + "; ".join(left))

    def close(self):
        try:
            super().close()
        finally:
            if self.space:
                self.space.leave()

    def run(self, cycles):
        self.left = cycles
        for w in self.workers:
            w.start()
        told = time.monotonic()
        while any(w.is_alive() for w in self.workers):
            self.kill_somebody()
            self.check_workers()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                self.tell()
        self.tell()
        if self.keepers != self.keeper_lines():
            raise Broken(f"keepers were {self.keepers}, are {self.keeper_lines()}")
        self.check_host()
        self.end()

    def tell(self):
        kills = ", ".join(f"{n} {what}" for what, n in sorted(self.kills.items()))
        print(f"{sum(w.done for w in self.workers)} cycles, {sum(w.failed for w in self.workers)} calls cut short, killed: {kills}",
              flush=True)


if __name__ == "__main__":
    main(__doc__, lambda args: Churn(args.seed, args.workers, args.calm), "cycles", 10000,
         (["--calm"], {"type": float, "default": 0.15, "help": "how long nobody is killed, on average (default: 0.15 s)"}))
