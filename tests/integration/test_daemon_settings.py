"""Settings of config.toml and what they do: collection, timeouts of shims, the daemon's cgroup."""
import os
import pathlib
import signal
import time
import unittest

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, wait_for


class Settings(unittest.TestCase):
    IMAGE = DaemonTest.IMAGE

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)

    def daemon(self, more):
        d = Daemon(self.scratch.path, config=CONFIG + more).start()
        self.addCleanup(d.stop)
        return d

    def blobs(self, d):
        return len(list((d.root / "io.containerd.content.v1.content" / "blobs" / "sha256").glob("*")))

    def test_collection_waits_for_its_deletions(self):
        d = self.daemon("""
[plugins.'io.containerd.gc.v1.scheduler']
  pause_threshold = 0.0001
  deletion_threshold = 20
  schedule_delay = '0s'
  startup_delay = '10ms'
""")
        d.ctr("images", "import", SHARE / "busybox.tar")
        d.ctr("images", "rm", self.IMAGE)
        time.sleep(0.3)
        self.assertGreater(self.blobs(d), 0)
        for _ in range(20):
            d.ctr("leases", "create", "--id", "one")
            d.ctr("leases", "delete", "one")
        wait_for("the collection", lambda: self.blobs(d) == 0, 5)

    def test_a_timeout_of_stats(self):
        d = self.daemon("\n[timeouts]\n  'io.containerd.timeout.metrics.shimstats' = '200ms'\n")
        d.ctr("images", "import", SHARE / "busybox.tar")
        d.ctr("run", "-d", self.IMAGE, "box", "sleep", "100")
        shim = self.shim()
        os.kill(shim, signal.SIGSTOP)
        try:
            start = time.monotonic()
            r = d.ctr("tasks", "metrics", "box", check=False)
            self.assertLess(time.monotonic() - start, 5)  # the default
            self.assertNotEqual(r.returncode, 0)
            self.assertIn("did not answer Stats within 0.2 s", d.log())
        finally:
            os.kill(shim, signal.SIGCONT)
        d.ctr("tasks", "kill", "-s", "SIGKILL", "box")
        wait_for("its end", lambda: d.ctr("tasks", "delete", "box", check=False).returncode == 0, 10)

    def shim(self):
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                args = (p / "cmdline").read_bytes().decode()
            except OSError:
                continue
            if "containerd-shim" in args and str(self.scratch.path) in args:
                return int(p.name)
        raise AssertionError("no shim")

    def test_cgroup_of_the_daemon(self):
        """Also of a second daemon, when shims of the first still live there."""
        name = f"casco-daemon-{os.getpid()}"
        d = self.daemon(f"\n[cgroup]\n  path = '/{name}'\n")
        self.addCleanup(self.remove_cgroups, name)
        self.assertIn(f"/{name}\n", pathlib.Path(f"/proc/{d.process.pid}/cgroup").read_text())
        d.ctr("images", "import", SHARE / "busybox.tar")
        d.ctr("run", "-d", self.IMAGE, "box", "sleep", "100")
        self.assertIn(f"/{name}\n", pathlib.Path(f"/proc/{self.shim()}/cgroup").read_text())
        version = d.ctr("version").stdout
        self.assertRegex(version, r"UUID: [0-9a-f-]{36}\n")
        d.kill()
        d.start()
        self.assertEqual(d.ctr("version").stdout, version)
        self.assertIn(f"/{name}\n", pathlib.Path(f"/proc/{d.process.pid}/cgroup").read_text())
        d.ctr("tasks", "kill", "-s", "SIGKILL", "box")
        wait_for("its end", lambda: d.ctr("tasks", "delete", "box", check=False).returncode == 0, 10)
        d.stop()

    def remove_cgroups(self, name):
        """When the last shim, which ends by itself, has left."""
        for folder in pathlib.Path("/sys/fs/cgroup").rglob(name):
            for sub in sorted(folder.rglob("*/"), reverse=True):
                sub.rmdir()
            wait_for("an empty cgroup", lambda f=folder: not (f / "cgroup.procs").read_text(), 10)
            folder.rmdir()


if __name__ == "__main__":
    unittest.main()
