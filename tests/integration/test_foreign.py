"""One part is another's: our daemon over foreign shims, our shim below a foreign daemon or over a foreign runtime.

Debian's programs, those of the folder that CASCO_PEER names, and gVisor's runsc where it is installed."""
import os
import pathlib
import shutil
import signal
import time
import unittest

from casco import BIN, CONFIG, SHARE, Daemon, DaemonTest, Scratch, our_env, processes, wait_for

PEER = pathlib.Path(os.environ.get("CASCO_PEER", "/nonexistent"))
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WITHOUT_CRI = "disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime']\n"


class Lives(DaemonTest):
    """What a container does in its life, by whoever's parts; the daemon is killed in the middle of it."""

    def shims(self, name):
        return [int(p.split()[0]) for p in processes(str(self.scratch.path)) if "containerd-shim" in p and f"-id {name} " in p]

    def live(self, name, *flags, can_pause=True):
        r = self.ctr("run", "--rm", *flags, self.IMAGE, name + "-once", "sh", "-c", "echo out; echo err >&2; exit 6", check=False)
        self.assertEqual((r.returncode, r.stdout.strip()), (6, "out"), r.stderr)
        self.running(*flags, name=name)
        r = self.ctr("tasks", "exec", "--exec-id", "e", name, "sh", "-c", "echo hi; exit 3", check=False)
        self.assertEqual((r.returncode, r.stdout.strip()), (3, "hi"), r.stderr)
        self.ctr("tasks", "metrics", name)
        before = self.shims(name)
        self.assertEqual(len(before), 1)
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("RUNNING", self.task_line(name))
        self.assertEqual(self.shims(name), before)
        if can_pause:
            self.ctr("tasks", "pause", name)
            self.assertIn("PAUSED", self.task_line(name))
            self.ctr("tasks", "resume", name)
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", name, "echo", "again").stdout.strip(), "again")
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        wait_for("the end", lambda: "STOPPED" in self.task_line(name))
        self.assertIn("137", self.ctr("tasks", "delete", name, check=False).stderr)
        self.ctr("containers", "delete", name)
        wait_for("the shim's end", lambda: not self.shims(name), 10)

    def killed_shim(self, name, *flags):
        """Its container goes with it, and the daemon that comes to know of it last says so."""
        self.running(*flags, name=name)
        pid, (shim,) = int(self.task_line(name).split()[1]), self.shims(name)
        self.daemon.kill()
        os.kill(shim, signal.SIGKILL)
        self.daemon.start()
        wait_for("the container's end", lambda: not os.path.exists(f"/proc/{pid}"))
        wait_for("the task's end", lambda: not self.task_line(name))
        self.ctr("containers", "delete", name)


class ForeignShims(Lives):
    @unittest.skipUnless(os.path.exists("/usr/bin/containerd-shim-runc-v2"), "Debian's containerd is not installed")
    def test_debian(self):
        self.live("debian", "--runtime", "/usr/bin/containerd-shim-runc-v2")
        self.killed_shim("killed", "--runtime", "/usr/bin/containerd-shim-runc-v2")

    @unittest.skipUnless((PEER / "containerd-shim-runc-v2").exists(), "CASCO_PEER names no folder with a shim")
    def test_peer(self):
        self.live("peer", "--runtime", PEER / "containerd-shim-runc-v2")
        self.killed_shim("killed", "--runtime", PEER / "containerd-shim-runc-v2")

    @unittest.skipUnless(os.path.exists("/usr/bin/containerd-shim-runc-v2"), "Debian's containerd is not installed")
    def test_a_log_that_the_shim_cannot_keep(self):
        """By default there is none then, and whoever asks for one is told."""
        r = self.ctr("run", "-d", "--log-driver", "json", "--runtime", "/usr/bin/containerd-shim-runc-v2", self.IMAGE, "logless", "true",
                     check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the shim of runtime /usr/bin/containerd-shim-runc-v2 has no log driver", r.stderr)
        self.ctr("containers", "delete", "logless", check=False)
        self.running("--runtime", BIN / "containerd-shim-runc-v2", name="ours", command=("sh", "-c", "echo kept; sleep 300"))
        wait_for("the log of our shim, named by its path", lambda: "kept" in self.ctr("logs", "ours").stdout)


class ForeignRuntimes(Lives):
    @unittest.skipUnless(os.path.exists("/usr/sbin/runc"), "Debian's runc is not installed")
    def test_debian_runc(self):
        self.live("runc", "--runc-binary", "/usr/sbin/runc")
        self.killed_shim("killed", "--runc-binary", "/usr/sbin/runc")

    @unittest.skipUnless(shutil.which("runsc"), "runsc is not installed")
    def test_runsc(self):
        # its own cgroups need a v1 layout with all controllers, its network a bridge: neither is what is tested
        wrap = self.scratch.path / "runsc"
        wrap.write_text(f'#!/bin/sh\nexec {shutil.which("runsc")} --network=none --ignore-cgroups --platform=ptrace "$@"\n')
        wrap.chmod(0o755)
        self.live("runsc", "--runc-binary", wrap, can_pause=False)
        self.running("--runc-binary", wrap, name="pids")
        self.assertEqual(len(self.ctr("tasks", "ps", "pids").stdout.splitlines()), 2)  # not those of whoever shares its cgroup


@unittest.skipUnless((PEER / "containerd").exists() and (PEER / "ctr").exists(), "CASCO_PEER names no folder with a containerd")
class BelowAPeersDaemon(Lives):
    ctr_binary = PEER / "ctr"

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, binary=PEER / "containerd", config=WITHOUT_CRI + CONFIG, env=our_env(PATH=f"{BIN}:{PLAIN_PATH}"))
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def test_our_shim(self):
        self.live("ours")
        self.assertFalse([p for p in processes(str(self.scratch.path)) if f"{PEER}/containerd-shim" in p])

    def test_our_shim_killed(self):
        self.killed_shim("killed")

    def test_our_client_and_our_shim(self):
        type(self).ctr_binary = None
        try:
            self.live("both")
        finally:
            type(self).ctr_binary = PEER / "ctr"


class LogPrograms(Lives):
    """Those that do not end when they are asked to end with the shim."""
    IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.close(5)\nwhile True:\n    time.sleep(60)\n"
    STOPS = "os.close(5)\nos.kill(os.getpid(), signal.SIGSTOP)\n"

    def program(self, name, text):
        path = self.scratch.path / name
        path.write_text("#!/usr/bin/env python3\nimport os, signal, time\n" + text)
        path.chmod(0o755)
        return f"binary://{path}"

    def loggers(self):
        return [p for p in processes(str(self.scratch.path)) if "-logger" in p]

    def test_none_stays(self):
        for name, text in (("ignores", self.IGNORES), ("stops", self.STOPS)):
            self.ctr("run", "-d", "--log-uri", self.program(name + "-logger", text), self.IMAGE, name, "true")
            wait_for("the end", lambda n=name: "STOPPED" in self.task_line(n))
            begin = time.monotonic()
            self.ctr("tasks", "delete", name)  # waits for nobody
            self.assertLess(time.monotonic() - begin, 2)
            self.ctr("containers", "delete", name)
        self.assertEqual(len(self.loggers()), 2)
        wait_for("their end, and the shims'", lambda: not self.loggers() and not self.shims("ignores") + self.shims("stops"), 15)

    def test_none_stays_behind_a_killed_shim(self):
        for name, text in (("ignores", self.IGNORES), ("stops", self.STOPS)):
            self.running("--log-uri", self.program(name + "-logger", text), name=name)
            os.kill(self.shims(name)[0], signal.SIGKILL)
        wait_for("their end", lambda: not self.loggers())
        for name in ("ignores", "stops"):
            wait_for("the task's end", lambda n=name: not self.task_line(n))
            self.ctr("containers", "delete", name)

    def test_one_that_is_never_ready_is_named(self):
        uri = self.program("dumb-logger", "os._exit(0)\n").replace("binary:", "binary-v2:")
        r = self.ctr("run", "-d", "--log-uri", uri, self.IMAGE, "dumb", "true", check=False)
        self.assertIn(f"logging binary {self.scratch.path}/dumb-logger ended before it was ready", r.stderr)
        self.ctr("containers", "delete", "dumb", check=False)


if __name__ == "__main__":
    unittest.main()
