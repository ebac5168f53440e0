"""Debian's ctr (an independent client, in Go) against our daemon."""
import re
import shutil
import time
import unittest

from casco import DaemonTest, Terminal, wait_for, wait_for_foreground
from registry import Registry, busybox_layer, layer

DEBIAN_CTR = "/usr/bin/ctr"


@unittest.skipUnless(shutil.which(DEBIAN_CTR), "Debian's ctr is not installed")
class DebianCtr(DaemonTest):
    ctr_binary = DEBIAN_CTR
    images = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.scratch.path / "registry")
        cls.addClassCleanup(cls.registry.stop)
        cls.registry.push("library/busybox", "latest", [busybox_layer(), layer([("etc/second", b"2\n")])], index=True)
        cls.IMAGE = f"{cls.registry.host}/library/busybox:latest"
        cls.ctr("images", "pull", "--plain-http", cls.IMAGE)

    def test_version(self):
        out = self.ctr("version").stdout
        self.assertIn("Server:", out)

    def test_images(self):
        out = self.ctr("images", "ls").stdout
        self.assertIn(self.IMAGE, out)
        self.assertIn("linux/amd64", out)
        self.assertEqual(self.ctr("images", "ls", "-q").stdout.split(), [self.IMAGE])
        check = self.ctr("images", "check").stdout
        self.assertIn("complete (3/3)", check)
        self.ctr("images", "tag", self.IMAGE, "local/tagged:1")
        self.ctr("images", "label", "local/tagged:1", "a=b")
        self.assertIn("a=b", self.ctr("images", "ls").stdout)
        self.ctr("images", "rm", "local/tagged:1")
        self.assertNotIn("local/tagged:1", self.ctr("images", "ls").stdout)

    def test_run_rm(self):
        r = self.ctr("run", "--rm", self.IMAGE, "once", "sh", "-c", "cat /etc/second; echo err >&2; exit 5", check=False)
        self.assertEqual((r.stdout, r.returncode), ("2\n", 5))
        self.assertIn("err\n", r.stderr)
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.assertNotIn("once", self.ctr("snapshots", "ls").stdout)

    def test_run_tty(self):
        t = Terminal(self.daemon.command("run", "--rm", "-t", self.IMAGE, "tty", "sh", binary=DEBIAN_CTR))
        self.addCleanup(t.close)
        t.expect("# ")
        t.type("echo $((40+2))\n")
        t.expect("42")
        t.type("sleep 50.25\n")
        t.expect("sleep 50.25")
        wait_for_foreground("sleep", "50.25")
        t.type("\x03")
        t.expect("# ")
        t.type("exit 9\n")
        self.assertEqual(t.wait(), 9)

    def test_tasks(self):
        self.running(name="bg", command=("sh", "-c", "while :; do echo tick; sleep 0.1; done"))
        self.assertIn("bg", self.ctr("tasks", "ls").stdout)
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e1", "bg", "echo", "from exec").stdout, "from exec\n")
        r = self.ctr("tasks", "exec", "--exec-id", "e2", "bg", "sh", "-c", "exit 4", check=False)
        self.assertEqual(r.returncode, 4)
        self.ctr("tasks", "pause", "bg")
        self.assertIn("PAUSED", self.task_line("bg"))
        self.ctr("tasks", "resume", "bg")
        self.assertIn("RUNNING", self.task_line("bg"))
        self.assertIn("PID", self.ctr("tasks", "ps", "bg").stdout)
        attached = Terminal(self.daemon.command("tasks", "attach", "bg", binary=DEBIAN_CTR))
        self.addCleanup(attached.close)
        attached.expect("tick")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "bg")
        self.assertEqual(attached.wait(), 137)
        wait_for("the end", lambda: "RUNNING" not in self.task_line("bg"))
        self.ctr("tasks", "delete", "bg", check=False)
        self.ctr("containers", "rm", "bg")

    def test_lists(self):
        self.running(name="listed")
        self.assertIn("listed", self.ctr("containers", "ls").stdout)
        self.assertIn("listed", self.ctr("snapshots", "ls").stdout)
        self.assertIn("sha256:", self.ctr("content", "ls").stdout)
        self.assertIn('"ID": "listed"', self.ctr("containers", "info", "listed").stdout)
        self.assertIn("default", self.ctr("namespaces", "ls").stdout)
        self.assertIn("overlayfs", self.ctr("plugins", "ls").stdout)

    def test_events(self):
        t = Terminal(self.daemon.command("events", binary=DEBIAN_CTR))
        self.addCleanup(t.close)
        time.sleep(0.5)  # nothing is printed when the subscription stands
        self.ctr("run", "--rm", self.IMAGE, "seen", "true")
        for topic in ("/snapshot/prepare", "/containers/create", "/tasks/create", "/tasks/start", "/tasks/exit",
                      "/tasks/delete", "/containers/delete"):
            t.expect(topic)

    def test_our_ctr_says_the_same(self):
        """Output, errors and exit codes of both clients, but for the time of log lines."""
        def answer(binary, words):
            r = self.ctr(*words, check=False, binary=binary)
            # newer clients, and ours, leave an unknown error's class out
            return re.sub(r'time="[^"]*" ', "", r.stdout + r.stderr).replace(": unknown\n", "\n"), r.returncode

        for line in ("tasks list", "tasks start nope", "tasks kill nope", "tasks kill", "tasks delete nope",
                     "tasks attach nope", "tasks exec --exec-id a nope ls", "tasks pause nope", "tasks ps nope",
                     "containers list", "containers info nope", "containers delete nope", "run", "run IMAGE",
                     "run nope:latest a", "run --rm --runtime io.foo.v1 IMAGE a true",
                     "run --rm IMAGE a /nope", "run --rm --snapshotter foo IMAGE a true", "run --rm IMAGE a false",
                     "images ls", "images rm nope", "images tag nope a", "images label IMAGE a=", "content ls -q",
                     "snapshots ls", "snapshots rm nope", "snapshots info nope", "snapshots tree", "ns ls",
                     "ns create", "ns create a/b", "ns rm nope", "ns label nope a=b", "leases ls", "foo"):
            words = line.replace("IMAGE", self.IMAGE).split()
            with self.subTest(line):
                self.assertEqual(answer(None, words), answer(DEBIAN_CTR, words))

    def test_not_found_texts(self):
        r = self.ctr("containers", "info", "nope", check=False)
        self.assertIn('container "nope" in namespace "default": not found', r.stderr)
        r = self.ctr("tasks", "kill", "nope", check=False)
        self.assertIn("not found", r.stderr)

    def test_refusals_in_the_originals_words(self):
        r = self.ctr("run", "--rm", self.IMAGE, "a/b", "true", check=False)
        self.assertIn('create container failed validation: container.ID: identifier "a/b" must match', r.stderr)
        self.ctr("run", "-d", self.IMAGE, "words", "sleep", "100")
        self.addCleanup(self.ctr, "tasks", "rm", "-f", "words", check=False)
        r = self.ctr("tasks", "exec", "--exec-id", "e", "words", "/nope", check=False)
        self.assertIn('OCI runtime exec failed: exec failed: unable to start container process: exec: "/nope": stat /nope: '
                      "no such file or directory", r.stderr)
        r = self.ctr("run", "--rm", "--memory-limit", "1", self.IMAGE, "tiny", "true", check=False)
        self.assertIn("unable to start container process: container init was OOM-killed (memory limit too low?)", r.stderr)


if __name__ == "__main__":
    unittest.main()
