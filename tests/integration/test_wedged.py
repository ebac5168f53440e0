"""A shim that hangs: its own callers wait for their deadline, and nobody else waits at all."""
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from bundle import Bundle
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, cgroups, mounts, processes, wait_for


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


START = 3  # seconds that the daemon gives a shim


class Deadlines(DaemonTest):
    """Who is waited for in vain is named, with what each step took; it goes, and nobody else waits."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + f"\n[timeouts]\n'io.containerd.timeout.task.start' = '{START}s'\n")
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def begin(self, *args):
        return subprocess.Popen(self.daemon.command(*args), env=self.daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def fails(self, p, name, timeout=START + 3):
        """What it says; meanwhile another container starts, runs and ends as ever."""
        begin = time.monotonic()
        self.ctr("run", "--rm", self.IMAGE, f"beside-{name}", "true")
        self.assertLess(time.monotonic() - begin, START - 0.5)
        _, said = p.communicate(timeout=timeout)
        self.assertNotEqual(p.returncode, 0)
        return said

    def nothing_is_left(self, before, *words):
        wait_for("it to go", lambda: not [p for p in processes(str(self.scratch.path)) if any(w in p for w in words + ("-shim-",))])
        self.assertEqual([m for m in mounts(str(self.scratch.path)) if "/rootfs" in m], [])
        self.assertEqual(sorted(c for c in cgroups() - before if os.path.basename(c) in words), [])

    def bundle(self, name, **hooks):
        b = Bundle(self.scratch.path / name)
        b.config["root"]["path"] = str(b.root)
        b.config["process"]["args"] = ["/bin/true"]
        b.config["hooks"] = hooks
        b.write()
        return str(b.path / "config.json")

    def hook(self, name):
        path = self.scratch.path / name
        path.write_text("#!/bin/sh\nsleep 1000\n")
        path.chmod(0o755)
        return {"path": str(path)}

    def test_hooks(self):
        """Of the host's, in the container's namespaces, and after the end; all at once."""
        before = cgroups()
        configs = {kind: self.bundle(kind, **{kind: [self.hook(f"hangs-{kind}")]}) for kind in ("createRuntime", "createContainer")}
        running = {kind: self.begin("run", "--rm", "--trace", str(self.scratch.path / f"{kind}.json"), "--config", config, kind)
                   for kind, config in configs.items()}
        for kind, p in running.items():
            said = self.fails(p, kind)
            self.assertRegex(said, rf"OCI runtime create failed: the runtime was killed after \d+ ms \(shim: .*hook #0 \S*hangs-{kind} "
                                   r"2\.\d s and not over")
            self.assertRegex(said, r"runtime: plan \d+\.\d ms, .*cgroups \d+\.\d ms")
            # the trace of what failed says it, too
            self.assertIn(f"hangs-{kind}", (self.scratch.path / f"{kind}.json").read_text())
        self.nothing_is_left(before, "createRuntime", "createContainer", "hangs-")

    def test_a_runtime(self):
        before = cgroups()
        fake = self.scratch.path / "fake-runc"
        fake.write_text("#!/bin/sh\ncase \"$*\" in *create*) sleep 1000;; esac\n")
        fake.chmod(0o755)
        said = self.fails(self.begin("run", "--rm", "--runc-binary", fake, self.IMAGE, "slow", "true"), "slow")
        self.assertRegex(said, rf"OCI runtime create failed: {fake} was killed after \d+ ms \(shim: mount the rootfs .*{fake} 2\.\d s and not over\)")
        self.nothing_is_left(before, "slow", "fake-runc")

    def test_a_shim_that_does_not_answer(self):
        """Stopped in the middle of its work: its name, the call and the deadline are said, and its delete verb takes all away."""
        before = cgroups()
        fake = self.scratch.path / "stops-runc"
        fake.write_text("#!/bin/sh\ncase \"$*\" in *create*) kill -STOP $PPID; exec sleep 1000;; esac\n")
        fake.chmod(0o755)
        said = self.fails(self.begin("run", "--rm", "--runc-binary", fake, self.IMAGE, "stopped", "true"), "stopped", START + 10)
        self.assertIn(f"shim of stopped did not answer Create within {START} s: context deadline exceeded", said)
        self.nothing_is_left(before, "stopped", "stops-runc")


if __name__ == "__main__":
    unittest.main()
