#!/usr/bin/env python3
"""Shims stand still (SIGSTOP) and go on again while many clients pull, run, execute and delete.

    stopped_shims.py [--rounds 100] [--seed N] [--workers 5] [--kills]

Not part of `make check`, which runs it with few rounds (tests/integration/test_soak.py).  A round stops one container's shim, or
every shim there is, for a moment or beyond the deadline of a call.  What must hold beside the promises of mixed_kills.py:

  - all that does not need the stopped shim works, in time: lists, and commands in other containers;
  - a call that needs it fails at its deadline and names the shim, the call and how long it took; so does one with a client's deadline;
  - a stop shorter than the deadlines fails nobody;
  - with --kills the daemon is killed meanwhile: the next one serves, and has the container back when its shim goes on;
  - a call that was given up is not done twice, and leaves nothing behind.
"""
import contextlib
import os
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import DYING, KEEPERS, Broken, Soak, main  # noqa: E402
from casco import processes, wait_for  # noqa: E402


class StoppedShims(Soak):
    tolerated = ("did not answer",)  # and within how long: who needs the stopped one

    def __init__(self, seed, workers, kills=False):
        self.kills, self.rounds, self.slowest = kills, 0, 0.0
        if kills:
            self.tolerated += DYING
        super().__init__(seed, workers)

    def shims(self, name=""):
        return [int(p.split()[0]) for p in processes(str(self.scratch.path))
                if "containerd-shim" in p and (not name or re.search(rf"-id {name}\b", p))]

    @contextlib.contextmanager
    def stopped(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def refused(self, words, limit, *command):
        """command ends within limit seconds, and says words."""
        began = time.monotonic()
        r = self.daemon.ctr(*command, check=False, timeout=limit + 30)
        took = time.monotonic() - began
        if r.returncode == 0 or took > limit or not all(w in r.stderr for w in words):
            raise Broken(f"{' '.join(command)} with a stopped shim: {r.returncode} {r.stderr.strip()} after {took:.1f} s")

    def one(self):
        """One shim, beyond a deadline: a client's own of 1 s, or the daemon's for a signal."""
        name = f"keeper-{1 + self.rounds % (KEEPERS - 1)}"
        with self.stopped(self.shims(name)):
            self.probe(f"while the shim of {name} stands still")
            self.refused(["deadline"], 3, "--timeout", "1s", "tasks", "exec", "--exec-id", f"late-{self.rounds}", name, "true")
            self.refused(["deadline"], 3, "--timeout", "1s", "tasks", "kill", "-s", "SIGWINCH", name)
            if self.rounds % 5 == 0:
                self.refused([name, "Kill", "within 15 s"], 20, "tasks", "kill", "-s", "SIGWINCH", name)
            if self.kills:
                self.restart(name)
            self.probe(f"while the shim of {name} stands still")
        self.comes_back(name)

    def restart(self, name):
        self.generation += 1
        self.daemon.kill()
        began = time.monotonic()
        self.daemon.start()
        self.daemon.ctr("version")
        if time.monotonic() - began > 12:
            raise Broken(f"with the shim of {name} stopped the daemon took {time.monotonic() - began:.1f} s to serve")
        self.generation += 1

    def comes_back(self, name):
        began = time.monotonic()
        wait_for(f"{name} to answer", lambda: self.daemon.ctr(
            "--timeout", "5s", "tasks", "exec", "--exec-id", f"again-{self.rounds}", name, "true", check=False).returncode == 0, 60)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def all(self):
        """Every shim, for less than a list's patience and for more, in the middle of whatever it does."""
        with self.stopped(self.shims()):
            began = time.monotonic()
            self.daemon.ctr("version")
            self.daemon.ctr("tasks", "ls")
            if time.monotonic() - began > 5:
                raise Broken(f"with all shims stopped a list took {time.monotonic() - began:.1f} s")
            time.sleep(self.random.choice((0.05, 0.4, 2.5)) * self.random.random())

    def run(self, kills):
        for w in self.workers:
            w.start()
        for n in range(1, kills + 1):
            self.rounds = n
            time.sleep(0.3 * self.random.random())
            self.all()
            if n % 3 == 0:
                self.one()
            self.check_workers()
            if n % 20 == 0 or n == kills:
                self.check_books()
                print(f"{n} rounds, {sum(w.done for w in self.workers)} jobs, {sum(w.failed for w in self.workers)} failed, "
                      f"slowest return {self.slowest:.2f} s", flush=True)
        self.end()


if __name__ == "__main__":
    main(__doc__, lambda args: StoppedShims(args.seed, args.workers, args.kills), "rounds", 100,
         (["--kills"], {"action": "store_true", "help": "kill the daemon meanwhile, too"}))
