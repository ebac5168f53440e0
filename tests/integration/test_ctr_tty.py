"""Our ctr on a terminal and off it: typing, Ctrl-C, sizes, signals, streams, exit codes, fifos."""
import os
import pathlib
import signal
import subprocess
import termios
import unittest

from casco import DaemonTest, Terminal, wait_for

FIFOS = pathlib.Path("/run/containerd/fifo")


def fifo_folders():
    return set(os.listdir(FIFOS)) if FIFOS.exists() else set()


class CtrTest(DaemonTest):
    def setUp(self):
        self.fifos = fifo_folders()

    def command(self, *args):
        return self.daemon.command(*args, binary=self.ctr_binary)

    def terminal(self, *args, **kw):
        t = Terminal(self.command(*args), env=dict(self.daemon.env, TERM="xterm"), **kw)
        self.addCleanup(t.close)
        return t

    def no_fifos_left(self):
        self.assertEqual(fifo_folders() - self.fifos, set())


class OnATerminal(CtrTest):
    def test_shell(self):
        t = self.terminal("run", "--rm", "-t", self.IMAGE, "shell", "/bin/sh", rows=30, cols=100)
        t.expect("# ")
        t.type("stty size\n")
        t.expect("30 100")
        t.resize(50, 120)
        t.type("until [ \"$(stty size)\" = '50 120' ]; do :; done; echo new$((1+1))size\n")
        t.expect("new2size")
        t.type("echo begun; sleep 100\n")
        t.expect("begun\r\n")
        # busybox loses a Ctrl-C that comes between two commands of a list
        wait_for("sleep to run", lambda: len(self.ctr("tasks", "ps", "shell").stdout.splitlines()) == 3)
        t.type("\x03")
        t.expect("# ")
        t.type("tty; echo $TERM; exit 7\n")
        t.expect("/dev/pts/0")
        t.expect("xterm")
        self.assertEqual(t.wait(), 7)
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.no_fifos_left()

    def test_exec(self):
        self.running(name="target")
        t = self.terminal("tasks", "exec", "-t", "--exec-id", "e1", "target", "/bin/sh", rows=22, cols=77)
        t.expect("# ")
        t.type("stty size; exit 5\n")
        t.expect("22 77")
        self.assertEqual(t.wait(), 5)

    def test_attach_to_a_detached_terminal(self):
        self.ctr("run", "-d", "-t", self.IMAGE, "later", "/bin/sh")
        t = self.terminal("tasks", "attach", "later")
        t.type("echo at$((1+1))ached\n")
        t.expect("at2ached")
        t.type("exit 3\n")
        self.assertEqual(t.wait(), 3)
        self.assertNotIn("later", self.ctr("tasks", "ls").stdout)
        self.no_fifos_left()

    def test_sigterm_restores_the_terminal_and_removes(self):
        t = self.terminal("run", "--rm", "-t", self.IMAGE, "gone", "/bin/sh")
        before = termios.tcgetattr(t.fd)
        t.expect("# ")
        os.kill(t.pid, signal.SIGTERM)
        self.assertEqual(t.wait(), 128 + signal.SIGTERM)
        self.assertTrue(before)
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.no_fifos_left()

    def test_needs_a_terminal(self):
        r = self.ctr("run", "--rm", "-t", self.IMAGE, "none", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("provided file is not a console", r.stderr)
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.no_fifos_left()


class OffTheTerminal(CtrTest):
    def test_streams_and_codes(self):
        r = self.ctr("run", "--rm", self.IMAGE, "streams", "sh", "-c", "echo out; echo err >&2; exit 6", check=False)
        self.assertEqual((r.stdout, r.stderr, r.returncode), ("out\n", "err\n", 6))
        text = "line of input\n" * 20000
        r = self.ctr("run", "--rm", self.IMAGE, "echoes", "cat", input=text)
        self.assertEqual(len(r.stdout), len(text))
        self.no_fifos_left()

    def test_signals_are_passed_on(self):
        script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
        p = subprocess.Popen(self.command("run", "--rm", self.IMAGE, "passed", "sh", "-c", script), text=True,
                             env=self.daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual(p.stdout.readline(), "ready\n")
        p.terminate()
        out, _ = p.communicate(timeout=20)
        self.assertEqual((out, p.returncode), ("got\n", 9))
        self.no_fifos_left()

    def test_output_that_nobody_reads(self):
        r = subprocess.run(["sh", "-c", '"$@" | head -n 1', "sh",
                            *self.command("run", "--rm", self.IMAGE, "much", "sh", "-c", "yes | head -n 50000")],
                           env=self.daemon.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                           check=False)
        self.assertEqual(r.stdout, "y\n")
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.no_fifos_left()

    def test_exec_codes_and_kill(self):
        self.running(name="target")
        r = self.ctr("t", "exec", "--exec-id", "e", "target", "sh", "-c", "echo in; exit 4", check=False)
        self.assertEqual((r.stdout, r.returncode), ("in\n", 4))
        self.ctr("t", "kill", "-s", "SIGKILL", "target")
        wait_for("the end", lambda: "STOPPED" in self.task_line("target"))
        self.ctr("t", "rm", "target")
        self.ctr("c", "rm", "target")
        self.no_fifos_left()

    def test_a_failed_start_leaves_nothing(self):
        r = self.ctr("run", "--rm", self.IMAGE, "bad", "/no/such/program", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("no such file or directory", r.stderr)
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
        self.assertNotIn("bad", self.ctr("snapshots", "ls").stdout)
        self.no_fifos_left()

    def test_wrong_words(self):
        for words, code, text in (
                (("tasks", "kill", "nope"), 1, 'container "nope" in namespace "default": not found'),
                (("run", "--publish", "80", self.IMAGE, "x"), 1, "invalid port mapping \"80\""),
                (("run", "--rm", "-d", self.IMAGE, "x"), 1, "flags --detach and --rm cannot be specified together"),
                (("nope",), 3, "No help topic for 'nope'"),
                (("run", "--user", "99999999999", self.IMAGE, "x"), 1, "is out of range"),
                (("run", self.IMAGE, "a/b"), 1, 'identifier "a/b" must match')):
            r = self.ctr(*words, check=False)
            self.assertEqual(r.returncode, code, words)
            self.assertIn(text, r.stderr)
        self.assertNotIn(" x ", self.ctr("snapshots", "ls").stdout)

    def test_no_daemon(self):
        r = subprocess.run([*self.command()[:1], "-a", "/nonexistent/sock", "t", "ls"], capture_output=True, text=True,
                           check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn('failed to dial "/nonexistent/sock"', r.stderr)
        self.assertIn("no daemon answers at /nonexistent/sock", r.stderr)


if __name__ == "__main__":
    unittest.main()
