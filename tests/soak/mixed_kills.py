#!/usr/bin/env python3
"""The daemon is killed again and again while many clients pull, run, execute and delete.

    mixed_kills.py [--kills 500] [--seed N] [--workers 5] [--keep-log FILE]

Not part of `make check`, which runs it with few kills (tests/integration/test_soak.py).  What must
hold, and ends the run when it does not:

  - after every kill the database opens, and the daemon serves within two seconds;
  - what a client was told is done, is: an image tagged, removed, a container made, deleted;
  - containers that ran before go on: same first process, all through the run;
  - at the end, when the clients' own things are deleted, nothing stays: no shim, process, mount,
    cgroup, snapshot, ingest, lease, bundle or blob that was not there at the start.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soak import Soak, main  # noqa: E402


class MixedKills(Soak):
    def run(self, kills):
        for w in self.workers:
            w.start()
        for n in range(1, kills + 1):
            self.kill_once()
            if n % 20 == 0 or n == kills:
                self.check_books()
                print(f"{n} kills, {sum(w.done for w in self.workers)} jobs, {sum(w.failed for w in self.workers)} cut short, "
                      f"slowest start {max(self.serve_times):.2f} s", flush=True)
        self.end()


if __name__ == "__main__":
    main(__doc__, lambda args: MixedKills(args.seed, args.workers), "kills", 500)
