"""Debian's containerd with our runtime binary, and with our shim: its own client, its own daemon."""
import shutil
import unittest

from casco import BIN, CONFIG_V2, SHARE, Daemon, DaemonTest, Scratch, Terminal, our_env, program, wait_for

CONTAINERD, CTR = "/usr/bin/containerd", "/usr/bin/ctr"


class Cases:
    run_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, binary=CONTAINERD, config=CONFIG_V2, env=our_env(PATH=cls.path()))
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    @staticmethod
    def path():
        return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    def start(self, name, *command):
        self.ctr("run", "-d", *self.run_flags, self.IMAGE, name, *command)
        wait_for(f"{name} to run", lambda: "RUNNING" in self.task_line(name))

    def test_run_rm(self):
        r = self.ctr("run", "--rm", *self.run_flags, self.IMAGE, "once", "sh", "-c", "echo out; echo err >&2; exit 6",
                     check=False)
        self.assertEqual((r.stdout, r.returncode), ("out\n", 6))
        self.assertIn("err\n", r.stderr)

    def test_our_client_needs_no_transfer_service(self):
        """Debian's containerd is older than that service: our ctr does the transfers by itself."""
        ns, path = ("-n", "ours"), self.scratch.path / "ours.tar"
        self.ctr(*ns, "images", "import", SHARE / "busybox.tar", binary=program("ctr"))
        self.ctr(*ns, "images", "export", path, self.IMAGE, binary=program("ctr"))
        self.ctr(*ns, "images", "convert", "--zstd", "--oci", self.IMAGE, "z:1", binary=program("ctr"))
        self.ctr("-n", "ours2", "images", "import", path)
        for line in (self.ctr(*ns, "images", "check").stdout + self.ctr("-n", "ours2", "images", "check").stdout).splitlines():
            self.assertIn("UNPACKED" if line.startswith("REF") else "complete (2/2)", line)
        self.ctr(*ns, "images", "rm", "--sync", self.IMAGE, "z:1")
        self.ctr("-n", "ours2", "images", "rm", "--sync", self.IMAGE)

    def test_tty(self):
        t = Terminal(self.daemon.command("run", "--rm", "-t", *self.run_flags, self.IMAGE, "tty", "sh", binary=CTR))
        self.addCleanup(t.close)
        t.expect("# ")
        t.type("stty size; exit 8\n")
        t.expect("24 80")
        self.assertEqual(t.wait(), 8)

    def test_exec_pause_kill_delete(self):
        self.start("bg", "sleep", "100")
        out = self.ctr("tasks", "exec", "--exec-id", "e1", "bg", "sh", "-c", "echo $HOSTNAME; id -u").stdout
        self.assertTrue(out.endswith("0\n"), out)
        self.ctr("tasks", "pause", "bg")
        self.assertIn("PAUSED", self.task_line("bg"))
        self.ctr("tasks", "resume", "bg")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "bg")
        wait_for("the end", lambda: "RUNNING" not in self.task_line("bg"))
        r = self.ctr("tasks", "delete", "bg", check=False)
        self.assertIn(r.returncode, (0, 137))
        self.ctr("containers", "rm", "bg")

    def test_limits_reach_the_container(self):
        self.start("limited", "sleep", "100")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "limited")
        self.ctr("run", "--rm", "--memory-limit", str(64 << 20), *self.run_flags, self.IMAGE, "mem", "true")

    def test_attach_sees_output(self):
        self.start("talk", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
        t = Terminal(self.daemon.command("tasks", "attach", "talk", binary=CTR))
        self.addCleanup(t.close)
        t.expect("tick")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "talk")
        self.assertEqual(t.wait(), 137)

    def test_a_bad_command_is_said(self):
        r = self.ctr("run", "--rm", *self.run_flags, self.IMAGE, "bad", "/no/such/program", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("/no/such/program", r.stderr)
        self.assertIn("no such file or directory", r.stderr)


@unittest.skipUnless(shutil.which(CONTAINERD), "Debian's containerd is not installed")
class WithOurRunc(Cases, DaemonTest):
    """Debian's shim runs our runc as its runtime binary."""
    ctr_binary = CTR
    run_flags = ("--runc-binary", program("runc"))


@unittest.skipUnless(shutil.which(CONTAINERD), "Debian's containerd is not installed")
class WithOurShim(Cases, DaemonTest):
    """Our shim, found first in PATH, with our runtime as its library."""
    ctr_binary = CTR

    @staticmethod
    def path():
        return f"{BIN}:" + Cases.path()

    def test_our_shim_is_the_one(self):
        self.start("which", "sleep", "100")
        from casco import processes
        self.assertTrue([p for p in processes(str(self.scratch.path)) if "containerd-shim-runc-v2" in p])


if __name__ == "__main__":
    unittest.main()
