#!/usr/bin/env python3
"""The daemon's disk fills up again and again while many clients pull, run, execute and delete.

    full_disk.py [--fills 100] [--seed N] [--workers 5] [--kills]

Not part of `make check`, which runs it with few rounds (tests/integration/test_soak.py).  What must
hold beside the promises of mixed_kills.py:

  - while the disk is full, whatever needs none of it works, in time: lists, and commands in containers that run;
  - whatever needs it fails by saying so, with the step and the path;
  - with --kills the daemon is killed in that state, too, and the next one starts in it.
"""
import errno
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import DYING, IMAGE, Broken, Soak, main  # noqa: E402


class FullDisk(Soak):
    tolerated = ("no space left on device",)

    def __init__(self, seed, workers, kills=False):
        self.kills, self.full = kills, 0
        if kills:
            self.tolerated += DYING
        super().__init__(seed, workers)

    def prepare(self):
        self.daemon.root.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "casco-test", self.daemon.root], check=True)
        self.undo.callback(subprocess.run, ["umount", self.daemon.root], check=True)

    def fill(self):
        """Until nothing goes; what is freed meanwhile is taken, too."""
        with open(self.daemon.root / "filler", "ab", 0) as f:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def check_refusal(self):
        r = self.daemon.ctr("images", "tag", IMAGE, f"example.com/full:{self.full}", check=False)
        if r.returncode == 0:
            return  # somebody has freed a page
        if f"{self.daemon.root}" not in r.stderr or "no space left on device" not in r.stderr:
            raise Broken(f"a full disk is told as {r.stderr.strip()}")

    def fill_once(self):
        self.full += 1
        self.fill()
        self.probe("on a full disk")
        self.fill()
        self.check_refusal()
        if self.kills:
            self.kill_once()
            self.probe("on a full disk")
        os.unlink(self.daemon.root / "filler")
        time.sleep(0.3 * self.random.random())
        self.check_workers()

    def run(self, kills):
        for w in self.workers:
            w.start()
        for n in range(1, kills + 1):
            self.fill_once()
            if n % 20 == 0 or n == kills:
                self.check_books()
                print(f"{n} fills, {sum(w.done for w in self.workers)} jobs, {sum(w.failed for w in self.workers)} refused", flush=True)
        self.end()


if __name__ == "__main__":
    main(__doc__, lambda args: FullDisk(args.seed, args.workers, args.kills), "fills", 100,
         (["--kills"], {"action": "store_true", "help": "kill the daemon on the full disk, too"}))
