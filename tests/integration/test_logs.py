"""ctr logs: what detached containers said is kept by the shim, bounded, and read back whole."""
import json
import pathlib
import stat
import subprocess
import unittest

from casco import DaemonTest, wait_for


class Logs(DaemonTest):
    def kept(self, name):
        return pathlib.Path(self.daemon.root) / "io.casco.logs" / "default" / name

    def ended(self, name):
        wait_for(f"{name} to end", lambda: "STOPPED" in self.task_line(name))

    def say(self, name, script, *flags):
        self.ctr("run", "-d", *flags, self.IMAGE, name, "sh", "-c", script)

    def test_both_forms_both_streams(self):
        for form in ("cri", "json"):
            with self.subTest(form):
                self.say(form, "echo out; echo err >&2; printf tail", "--log-driver", form)
                self.ended(form)
                r = self.ctr("logs", form)
                self.assertEqual((r.stdout, r.stderr), ("out\ntail", "err\n"))
                modes = [stat.S_IMODE(p.stat().st_mode) for p in (self.kept(form), self.kept(form) / "container.log")]
                self.assertEqual(modes, [0o700, 0o600])
                line = (self.kept(form) / "container.log").read_text().splitlines()[0]
                if form == "json":
                    self.assertIn(json.loads(line)["stream"], ("stdout", "stderr"))
                else:
                    self.assertRegex(line, r"^\S+Z (stdout F out|stderr F err)$")
                self.assertRegex(self.ctr("logs", "-t", "--tail", "1", form).stdout, r"^20\S+Z tail$")
                self.ctr("tasks", "rm", form)
                self.assertIn("out\n", self.ctr("logs", form).stdout)  # as long as the container
                self.ctr("containers", "rm", form)
                self.assertFalse(self.kept(form).exists())
        self.assertIn("not found", self.ctr("logs", "cri", check=False).stderr)

    def test_rotated_and_compressed_tail_since(self):
        self.say("rot", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); [ $((i % 250)) = 0 ] && sleep 0.05; done", "--log-opt",
                 "max-size=8k", "--log-opt", "max-file=4", "--log-opt", "compress=true")
        self.ended("rot")
        wait_for("gzip", lambda: not any(p.suffix != ".gz" and p.name != "container.log" and p.with_name(p.name + ".gz").exists()
                                         for p in self.kept("rot").iterdir()))
        names = sorted(p.name for p in self.kept("rot").iterdir())
        self.assertEqual(len(names), 4, names)
        self.assertTrue(any(n.endswith(".gz") for n in names), names)
        lines = self.ctr("logs", "rot").stdout.splitlines()
        self.assertEqual(lines, [f"line {i}" for i in range(2000 - len(lines), 2000)])
        self.assertGreater(len(lines), 400)
        self.assertEqual(self.ctr("logs", "--tail", "300", "rot").stdout.splitlines(), lines[-300:])
        self.assertEqual(self.ctr("logs", "--tail", "0", "rot").stdout, "")
        self.assertEqual(self.ctr("logs", "--since", "1h", "rot").stdout.splitlines(), lines)
        self.assertEqual(self.ctr("logs", "--since", "2999-01-01T00:00:00Z", "rot").stdout, "")

    def test_follow_sees_every_line_across_rotations(self):
        self.say("flow", "read x; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; exit 3", "--log-opt", "max-size=64k")
        p = subprocess.Popen(self.daemon.command("logs", "-f", "flow"), stdout=subprocess.PIPE, text=True, env=self.daemon.env)
        a = subprocess.run(self.daemon.command("tasks", "attach", "flow"), input="go\n", capture_output=True, text=True, timeout=20,
                           env=self.daemon.env, check=False)  # attaching and the log see the same
        self.assertEqual(a.returncode, 3, a.stderr)
        out, _ = p.communicate(timeout=20)
        want = "".join(f"{i}\n" for i in range(3000))
        self.assertEqual(out, want)
        self.assertEqual(a.stdout, want)

    def test_nobody_reads_and_nothing_stops(self):
        self.say("loud", "yes 0123456789012345678901234567890123456789 | head -c 4100000; echo end; exec sleep 100")
        wait_for("the end of 4 MiB", lambda: self.ctr("logs", "--tail", "1", "loud").stdout == "end\n")

    def test_terminal_and_none(self):
        self.ctr("run", "-d", "-t", self.IMAGE, "tty", "sh", "-c", "[ -t 1 ] && echo fine")
        self.ended("tty")
        self.assertIn("fine\n", self.ctr("logs", "tty").stdout)
        self.say("quiet", "echo x", "--log-driver", "none")
        self.assertIn("has no log", self.ctr("logs", "quiet", check=False).stderr)
        for flags, word in ((("--log-driver", "xml"), "log-driver"), (("--log-opt", "nonsense"), "log-opt"),
                            (("--log-opt", "max-size=1"), "max-size")):
            r = self.ctr("run", "-d", *flags, self.IMAGE, "bad", "true", check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(word, r.stderr)
            self.ctr("containers", "rm", "bad", check=False)

    def test_a_full_disk_costs_lines_and_no_more(self):
        small = self.scratch.path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        uri = f"casco-log://{small}/it?max-size=1m"
        self.ctr("run", "-d", "--log-uri", uri, self.IMAGE, "full", "sh", "-c",
                 "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; exit 7")
        self.ended("full")
        lines = (small / "it" / "container.log").read_text().splitlines()
        for line in lines:  # whole ones; where a short one still had room, it tells what is missing
            self.assertRegex(line, r"^\S+Z (stdout F line \d+|stderr F \[\d+ bytes of this log could not be written\])$")
        self.assertGreater(len(lines), 500)


if __name__ == "__main__":
    unittest.main()
