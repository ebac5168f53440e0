#!/usr/bin/env python3
"""A day's worth of load in minutes, and a look at what it leaves.

    churn.py [--cycles 10000] [--execs 100000] [--attaches 10000] [--megabytes 1024] [--workers 4] [--seed N]

Run by hand.

  cycles    containers are created, started and deleted while somebody kills the daemon, shims, runtimes and containers at random;
            at the end the host is as it was: processes, mounts, cgroups, namespaces, files in the state folders, records, snapshots
  execs, attaches, megabytes of output: on one container.  Memory and descriptors of its shim and of the daemon stay where they are
            after the first tenth
"""
import argparse
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mixed_kills import IMAGE, Broken, Soak, Worker  # noqa: E402
from casco import cgroups, is_namespace, mounts, network_namespaces, processes  # noqa: E402

# A page here and there is no growth: buffers of the last calls, a thread of the pool, malloc's own.
GROWTH_KB, GROWTH_FDS = {"shim": 64, "daemon": 2048}, 2


class Cycler(Worker):
    def run(self):
        try:
            while not self.soak.over and self.soak.take():
                name = self.name("churn")
                if self.random.random() < 0.7:
                    self.ctr("run", "--rm", IMAGE, name, "true")
                else:
                    self.ctr("run", "-d", IMAGE, name, "sleep", "0.05")
                    self.ctr("tasks", "rm", "-f", name)
                    self.ctr("containers", "rm", name)
                self.done += 1
        except Exception as e:  # pylint: disable=broad-except # handed to the main thread
            self.problem = e


class Churn(Soak):
    tolerated = ("",)  # everybody is killed: any call may fail

    def __init__(self, seed, workers, cycles=0):
        self.left, self.lock, self.kills = cycles, threading.Lock(), {}
        super().__init__(seed, 0)
        self.workers = [Cycler(self, i) for i in range(workers)]
        self.daemon.ctr("run", "--rm", IMAGE, "first", "true")  # folders that stay
        self.host_before = self.host()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def host(self):
        return {
            "processes": sorted(re.sub(r"^\d+ ", "", p) for p in processes(str(self.scratch.path)) if "containerd --config" not in p),
            "mounts": mounts(str(self.scratch.path)),
            "cgroups": sorted(c for c in cgroups() if not is_namespace(c)),
            "network namespaces": len(network_namespaces()),
            "files": sorted(str(p) for top in (self.daemon.state, pathlib.Path("/run/containerd"), pathlib.Path("/run/runc"))
                            for p in top.rglob("*") if "/rootfs/" not in str(p)),
        }

    def victims(self):
        """(what, pid) of everything that works for the churn."""
        for line in processes(str(self.scratch.path)):
            pid, _, args = line.partition(" ")
            if "containerd-shim" in args and "-id churn-" in args:
                yield "shim", int(pid)
            elif "runc" in args.split(" ")[0] and "churn-" in args:
                yield "runtime", int(pid)
            elif args in ("true", "sleep 0.05"):
                yield "container", int(pid)

    targets = ("daemon", "shim", "shim", "runtime", "container")

    def kill_somebody(self):
        what = self.random.choice(self.targets)
        if what == "daemon":
            self.kill_once()
        else:
            there = [pid for w, pid in self.victims() if w == what]
            if not there:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(there), signal.SIGKILL)
        self.kills[what] = self.kills.get(what, 0) + 1

    def cycles(self):
        for w in self.workers:
            w.start()
        told = time.monotonic()
        while any(w.is_alive() for w in self.workers):
            time.sleep(0.2 * self.random.random())
            self.kill_somebody()
            self.check_workers()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print(f"{sum(w.done for w in self.workers)} cycles, kills {self.kills}", flush=True)
        keepers, self.keepers = self.keepers, self.keeper_lines()
        if keepers != self.keepers:
            raise Broken(f"keepers were {keepers}, are {self.keepers}")
        self.sweep()
        print(f"cycles: {sum(w.done for w in self.workers)}, {sum(w.failed for w in self.workers)} calls cut short, kills {self.kills}", flush=True)

    def sweep(self):
        """What clients that were killed with their daemon left to do; then the host must be as it was."""
        for line in self.rows("tasks", "ls"):
            if line.startswith("churn-"):
                self.daemon.ctr("tasks", "rm", "-f", line.split()[0], check=False)
        for name in self.daemon.ctr("containers", "ls", "-q").stdout.split():
            if name.startswith("churn-"):
                self.daemon.ctr("containers", "rm", name)
        end, now = time.monotonic() + 40, self.host()
        while now != self.host_before and time.monotonic() < end:
            time.sleep(0.5)
            now = self.host()
        for what, value in now.items():
            if value != self.host_before[what]:
                was = self.host_before[what]
                raise Broken(f"{what} left: {sorted(set(value) ^ set(was))[:20] if isinstance(value, list) else (was, value)}")

    # --- growth ---

    def sizes(self):
        shim = next(int(p.split()[0]) for p in processes(str(self.scratch.path)) if "containerd-shim" in p and "-id keeper-0 " in p + " ")
        found = {}
        for name, pid in (("shim", shim), ("daemon", self.daemon.process.pid)):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            private = sum(int(n) for n in re.findall(r"^Private_Dirty:\s+(\d+)", rollup, re.M))
            found[name] = (private, len(os.listdir(f"/proc/{pid}/fd")))
        return found

    def settle(self):
        """Threads without work have gone."""
        time.sleep(6)
        return self.sizes()

    def grows_not(self, what, n, job):
        """job(k) does k of them, twice: a tenth to warm up, then the rest."""
        job(max(n // 10, 1))
        before = self.settle()
        began = time.monotonic()
        job(n)
        took, after = time.monotonic() - began, self.settle()
        print(f"{what}: {n} in {took:.0f} s, KiB and descriptors " +
              ", ".join(f"{k} {before[k]} -> {after[k]}" for k in before), flush=True)
        for k, (kb, fds) in after.items():
            if kb > before[k][0] + GROWTH_KB[k] or fds > before[k][1] + GROWTH_FDS:
                raise Broken(f"{what}: the {k} grew from {before[k]} to {after[k]} (KiB, descriptors)")

    def many(self, n, command):
        """command(i) n times, by a few at once."""
        serial, problems = iter(range(n)), []

        def work():
            for _ in iter(lambda: next(serial, None), None):
                try:
                    command()
                except Exception as e:  # pylint: disable=broad-except # handed to the main thread
                    problems.append(e)
                    return
        threads = [threading.Thread(target=work) for _ in range(len(self.workers) or 2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if problems:
            raise problems[0]

    def execs(self, n):
        self.many(n, lambda: self.daemon.ctr("tasks", "exec", "--exec-id", f"e{random.random()}", "keeper-0", "true"))

    def attaches(self, n):
        def once():
            p = subprocess.Popen(self.daemon.command("tasks", "attach", "keeper-0"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=self.daemon.env)
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(0.03)
            p.kill()
            p.wait()
        self.many(n, once)

    def output(self, megabytes):
        with subprocess.Popen(self.daemon.command("tasks", "exec", "--exec-id", f"o{random.random()}", "keeper-0", "dd", "if=/dev/zero",
                                                  "bs=1M", f"count={megabytes}"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, env=self.daemon.env) as p:
            n = 0
            while data := p.stdout.read(1 << 20):
                n += len(data)
        if n != megabytes << 20 or p.returncode:
            raise Broken(f"{n} of {megabytes << 20} bytes came, exit {p.returncode}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cycles", type=int, default=10000)
    p.add_argument("--execs", type=int, default=100000)
    p.add_argument("--attaches", type=int, default=10000)
    p.add_argument("--megabytes", type=int, default=1024)
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    churn = Churn(args.seed, args.workers, args.cycles)
    if args.cycles:
        churn.cycles()
    for what, n, job in (("execs", args.execs, churn.execs), ("attaches", args.attaches, churn.attaches),
                         ("megabytes", args.megabytes, churn.output)):
        if n:
            churn.grows_not(what, n, job)
    churn.workers = [w for w in churn.workers if w.ident]
    churn.end()
    churn.close()
    print("ok")


if __name__ == "__main__":
    main()
