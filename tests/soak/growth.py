#!/usr/bin/env python3
"""Much is done with one container, and neither its shim nor the daemon grows.

    growth.py [--execs 10000] [--attaches 1000] [--megabytes 1024] [--workers 5] [--keep-log FILE]

Not part of `make check`, which runs it with small numbers (tests/integration/test_soak.py).  Each of the three (commands in the container,
clients that attach and go, output) is done a tenth of that often first, so that all that is kept for reuse is there.  What must hold:

  - private memory and descriptors of shim and daemon are afterwards what they were before, but for a few pages;
  - so is the number of files that the container has in the daemon's folders.
"""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import Broken, Soak, Worker, main  # noqa: E402
from casco import processes, wait_for  # noqa: E402

# A page here and there is no growth: buffers of the last calls, a thread's arena, what malloc keeps.
GROWTH_KB = {"shim": 48, "daemon": 1024}
KEEPER = "keeper-0"
SETTLED = 6  # seconds until threads without work have gone


class Growth(Soak):
    def __init__(self, workers, attaches, megabytes):
        self.attaches, self.megabytes, self.serial, self.lock = attaches, megabytes, 0, threading.Lock()
        super().__init__(1, 0)
        self.workers = [Worker(self, i) for i in range(workers)]  # they count, and never start

    # --- what is done ---

    def next_id(self):
        with self.lock:
            self.serial += 1
            return f"g{self.serial}"

    def many(self, n, once):
        """once() n times, by all workers."""
        left, problems = iter(range(n)), []

        def work(worker):
            try:
                while True:
                    with self.lock:
                        if next(left, None) is None:
                            return
                    once()
                    worker.done += 1
            except Exception as e:  # pylint: disable=broad-except # handed to the main thread
                problems.append(e)
        threads = [threading.Thread(target=work, args=[w]) for w in self.workers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if problems:
            raise problems[0]

    def execute(self):
        self.daemon.ctr("tasks", "exec", "--exec-id", self.next_id(), KEEPER, "true")

    def attach(self):
        """A client that goes without a word, as one does whose terminal is closed."""
        with subprocess.Popen(self.daemon.command("tasks", "attach", KEEPER), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=self.daemon.env) as p:
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(0.05)
                raise Broken(f"attach ended with {p.returncode}")
            p.kill()

    def output(self, megabytes):
        command = self.daemon.command("tasks", "exec", "--exec-id", self.next_id(), KEEPER, "dd", "if=/dev/zero", "bs=1M", f"count={megabytes}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=self.daemon.env) as p:
            n = 0
            while data := p.stdout.read(1 << 20):
                n += len(data)
        if n != megabytes << 20 or p.returncode:
            raise Broken(f"{n} of {megabytes << 20} bytes came, exit {p.returncode}")

    # --- what must not grow ---

    def sizes(self):
        """KiB and descriptors of both, and files."""
        shim = next(int(p.split()[0]) for p in processes(str(self.scratch.path)) if "containerd-shim" in p and f"-id {KEEPER} " in p)
        found = {}
        for name, pid in (("shim", shim), ("daemon", self.daemon.process.pid)):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            found[name] = (sum(int(n) for n in re.findall(r"^Private_Dirty:\s+(\d+)", rollup, re.M)), len(os.listdir(f"/proc/{pid}/fd")))
        found["files"] = sum(len(names) for top in (self.daemon.state, "/run/containerd") for _, _, names in os.walk(top))
        return found

    def is_grown(self, before):
        now = self.sizes()
        return [k for k in GROWTH_KB if now[k][0] > before[k][0] + GROWTH_KB[k] or now[k][1] > before[k][1]] + (
            ["files"] if now["files"] > before["files"] else [])

    def check(self, what, n, job):
        job(max(n // 10, 1))
        time.sleep(SETTLED)
        before, began = self.sizes(), time.monotonic()
        job(n)
        took = time.monotonic() - began
        try:
            wait_for("it", lambda: not self.is_grown(before), 2 * SETTLED)
        except AssertionError:
            raise Broken(f"{n} {what}: grown {self.is_grown(before)}, from {before} to {self.sizes()} (KiB, descriptors)") from None
        print(f"{n} {what} in {took:.0f} s: {before} -> {self.sizes()}", flush=True)

    def run(self, kills):  # here: execs
        if kills:
            self.check("execs", kills, lambda n: self.many(n, self.execute))
        if self.attaches:
            self.check("attaches", self.attaches, lambda n: self.many(n, self.attach))
        if self.megabytes:
            self.check("megabytes of output", self.megabytes, self.output)
        self.end()


if __name__ == "__main__":
    main(__doc__, lambda args: Growth(args.workers, args.attaches, args.megabytes), "execs", 10000,
         (["--attaches"], {"type": int, "default": 1000}), (["--megabytes"], {"type": int, "default": 1024}))
