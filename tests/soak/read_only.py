#!/usr/bin/env python3
"""The file system under the daemon becomes read-only while many clients pull, run, execute and delete.

    read_only.py [--faults 100] [--seed N] [--workers 5] [--kills] [database|root]

As ext4 does it of itself when the disk fails: at once, with files open for writing.  database: only the folder of the
metadata stands on that file system; root: all that the daemon keeps.  Not part of `make check`, which runs it with few
rounds (tests/integration/test_soak.py).  What must hold beside the promises of mixed_kills.py:

  - whatever writes nothing works, in time: lists, and commands in containers that run;
  - whatever writes fails by saying so, with the step and the path, and nothing waits for the disk;
  - with --kills the daemon is killed in that state, too; the next one serves, or says which path it cannot write;
  - the daemon ends when it is told to, so that the file system can be repaired; then all that clients were told is done is there,
    and containers whose root was not on it go on.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import IMAGE, KEEPERS, Broken, Soak, main  # noqa: E402
from casco import mounts, processes, run, wait_for  # noqa: E402

CAUSE = "read-only file system"


class ReadOnly(Soak):
    tolerated = (CAUSE,)

    def __init__(self, seed, workers, place, kills=False):
        self.place, self.kills, self.faults = place, kills, 0
        super().__init__(seed, workers)

    def prepare(self):
        self.disk = self.scratch.path / "disk.img"
        self.folder = self.daemon.root
        if self.place == "database":
            self.folder /= "io.containerd.metadata.v1.lmdb"
        self.folder.mkdir(parents=True, mode=0o700)
        with open(self.disk, "wb") as f:
            f.truncate(192 << 20)
        run(["mkfs.ext4", "-q", self.disk])
        self.mount()
        self.undo.callback(subprocess.run, ["umount", self.folder], check=True)

    def mount(self):
        run(["mount", "-o", "loop,errors=remount-ro", self.disk, self.folder])

    def break_it(self):
        run(["mount", "-o", "remount,abort", self.folder])

    def repair(self):
        """As the operator would."""
        began = time.monotonic()
        self.daemon.stop()
        if time.monotonic() - began > 5:
            raise Broken(f"the daemon took {time.monotonic() - began:.1f} s to end")
        if self.place == "root":
            self.end_containers()
        run(["umount", self.folder])
        wait_for("the disk to be let go", lambda: not run(["losetup", "-j", self.disk]).stdout)
        r = run(["e2fsck", "-fy", self.disk], check=False)
        if r.returncode > 1:
            raise Broken(f"e2fsck: {r.stdout}{r.stderr}")
        self.mount()
        self.daemon.start()

    def end_containers(self):
        """A reboot: their roots are on the disk that goes."""
        for line in processes(str(self.scratch.path)):
            pid = int(line.split()[0])
            if "containerd-shim" in line or "/rootfs" in os.readlink(f"/proc/{pid}/root") or line.endswith(("sleep 100000", "sleep 0.2")):
                os.kill(pid, signal.SIGKILL)
        for line in self.keepers:
            try:
                os.kill(int(line.split()[1]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("the containers' end", lambda: not any("containerd-shim" in p for p in processes(str(self.scratch.path))))
        for m in reversed([m for m in mounts(str(self.scratch.path)) if m != str(self.folder)]):
            run(["umount", "-l", m], check=False)

    def renew_keepers(self):
        for i in range(KEEPERS):
            name = f"keeper-{i}"
            wait_for(f"{name} to be known as ended", lambda n=name: not any(
                line.split()[0] == n and "RUNNING" in line for line in self.rows("tasks", "ls")), 20)
            self.daemon.ctr("tasks", "rm", name, check=False)
            self.daemon.ctr("containers", "rm", name)
            self.daemon.ctr("run", "-d", IMAGE, name, "sleep", "100000")
        self.keepers = self.keeper_lines()

    def check_refusal(self):
        began = time.monotonic()
        r = self.daemon.ctr("images", "tag", IMAGE, f"example.com/full:{self.faults}", check=False)
        if r.returncode == 0 or str(self.daemon.root) not in r.stderr or CAUSE not in r.stderr or time.monotonic() - began > 5:
            raise Broken(f"a read-only disk is told as {r.returncode} {r.stderr.strip()} after {time.monotonic() - began:.1f} s")

    def kill_broken(self):
        """Whether the next daemon serves."""
        self.daemon.kill()
        began = time.monotonic()
        try:
            self.daemon.start()
            return True
        except AssertionError as e:
            said = str(e).strip().splitlines()[-1]
            if time.monotonic() - began > 5 or str(self.folder) not in said or CAUSE not in said:
                raise Broken(f"a start on a read-only disk ends after {time.monotonic() - began:.1f} s: {said}") from None
            return False

    def break_once(self):
        self.faults += 1
        time.sleep(0.2 + self.random.random())
        self.break_it()
        self.probe("on a read-only disk")
        self.check_refusal()
        self.probe("on a read-only disk")
        self.gate.close()
        self.generation += 1
        if self.kills and self.kill_broken():
            self.probe("of a daemon that began on a read-only disk")
        self.repair()
        if self.place == "root":
            self.renew_keepers()
        self.generation += 1
        self.gate.open()
        self.check_workers()

    def run(self, kills):
        for w in self.workers:
            w.start()
        for n in range(1, kills + 1):
            self.break_once()
            self.check_books()
            if n % 10 == 0 or n == kills:
                print(f"{n} faults, {sum(w.done for w in self.workers)} jobs, {sum(w.failed for w in self.workers)} refused", flush=True)
        self.end()


if __name__ == "__main__":
    main(__doc__, lambda args: ReadOnly(args.seed, args.workers, args.place, args.kills), "faults", 100,
         (["place"], {"nargs": "?", "choices": ["database", "root"], "default": "database"}),
         (["--kills"], {"action": "store_true", "help": "kill the daemon on the read-only disk, too"}))
