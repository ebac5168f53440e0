"""A shim that hangs: its own callers wait for their deadline, and nobody else waits at all."""
import os
import signal
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
            begin = time.monotonic()
            for _ in range(5):
                listed = self.ctr("tasks", "list").stdout
            self.assertLess(time.monotonic() - begin, 2)
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


if __name__ == "__main__":
    unittest.main()
