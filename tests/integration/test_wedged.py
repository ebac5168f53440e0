"""A shim that hangs: its own callers wait for their deadline, and nobody else waits at all."""
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from casco import DaemonTest, processes, wait_for


class Wedged(DaemonTest):
    def shim(self, name):
        found = [int(p.split()[0]) for p in processes(str(self.scratch.path))
                 if "containerd-shim" in p and f"-id {name}" in p]
        self.assertEqual(len(found), 1)
        return found[0]

    def test_a_list_does_not_wait_for_a_hanging_shim(self):
        self.running(name="stuck")
        self.running(name="fine")
        shim = self.shim("stuck")
        os.kill(shim, signal.SIGSTOP)
        try:
            self.ctr("tasks", "list")  # may wait its half second once
            times = []
            for _ in range(5):
                begin = time.monotonic()
                listed = self.ctr("tasks", "list").stdout
                times.append(time.monotonic() - begin)
            self.assertLess(min(times), 0.5)  # the others may have had to wait for a processor
            self.assertIn("stuck", listed)  # as it was last seen
            self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", "fine", "echo", "yes").stdout, "yes\n")

            # A restart of the daemon is held up for no longer than one shim's deadline.
            self.daemon.kill()
            begin = time.monotonic()
            self.daemon.start()
            self.assertLess(time.monotonic() - begin, 12)
            self.assertIn("RUNNING", self.task_line("fine"))
            self.assertIn("stuck", self.ctr("tasks", "list").stdout)
        finally:
            os.kill(shim, signal.SIGCONT)
        wait_for("the shim's answer", lambda: "RUNNING" in self.task_line("stuck"), 90)
        for name in ("stuck", "fine"):
            self.ctr("tasks", "kill", "-s", "SIGKILL", name)
            wait_for("the end", lambda n=name: "STOPPED" in self.task_line(n))
            self.ctr("tasks", "delete", name, check=False)
            self.ctr("containers", "delete", name)

    def test_who_gave_up_waiting_leaves_nothing_in_the_shim(self):
        """Each attach waits for the end, and ttrpc has no word for giving up: the daemon asks the shim once."""
        self.running(name="asked")
        shim = self.shim("asked")

        def memory():
            text = pathlib.Path(f"/proc/{shim}/smaps_rollup").read_text()
            return int(re.search(r"^Private_Dirty: +(\d+)", text, re.M)[1])

        def attach(n):
            for _ in range(n):
                p = subprocess.Popen(self.daemon.command("tasks", "attach", "asked"), env=self.daemon.env, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.03)
                p.kill()
                p.wait()

        attach(10)
        before = memory()
        attach(100)
        self.assertLess(memory() - before, 24)  # KiB; half a one each, once
        self.ctr("tasks", "kill", "-s", "SIGKILL", "asked")
        wait_for("the end", lambda: "STOPPED" in self.task_line("asked"))
        self.ctr("tasks", "delete", "asked", check=False)
        self.ctr("containers", "delete", "asked")


if __name__ == "__main__":
    unittest.main()
