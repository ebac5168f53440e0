"""ctr ps, inspect and why: what people ask about containers, for them and for scripts."""
import json
import unittest

from casco import DaemonTest, wait_for


class Views(DaemonTest):
    def json(self, *args):
        return json.loads(self.ctr(*args).stdout)

    def why(self, name):
        return self.json("why", "--format", "json", name)

    def ended(self, name):
        wait_for(f"{name} to end", lambda: "STOPPED" in self.task_line(name))

    def test_ps(self):
        ports = '[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"127.0.0.1"}]'
        self.running("--label", "nerdctl/name=web", "--label", f"nerdctl/ports={ports}", name="up")
        self.ctr("run", "-d", self.IMAGE, "down", "sh", "-c", "exit 4")
        self.ctr("containers", "create", self.IMAGE, "cold", "true")
        self.ended("down")
        rows = self.ctr("ps").stdout.splitlines()
        self.assertEqual(len(rows), 2)
        self.assertRegex(rows[1], r"^up +docker.io/library/busybox:latest +sleep 300 +.* ago +Up .* 127.0.0.1:8080->80/tcp +web *$")
        every = {c["ID"]: c for c in self.json("ps", "-a", "--format", "json")}
        self.assertEqual(sorted(every), ["cold", "down", "up"])
        self.assertEqual((every["cold"]["Status"], every["cold"]["Task"]), ("Created", None))
        self.assertRegex(every["down"]["Status"], r"^Exited \(4\) .* ago$")
        self.assertEqual(every["up"]["Task"]["Status"], "running")
        self.assertEqual(self.ctr("ps", "-q", "id==up").stdout, "up\n")
        self.assertEqual([t["ID"] for t in self.json("tasks", "ls", "--format", "json")], ["down", "up"])
        self.assertEqual(self.json("tasks", "ps", "--format", "json", "up")[0]["Pid"], every["up"]["Task"]["Pid"])
        self.assertEqual({c["ID"] for c in self.json("containers", "ls", "--format", "json")}, set(every))

    def test_inspect(self):
        self.running(name="seen")
        whole = self.json("inspect", "seen")
        self.assertEqual((whole["ID"], whole["Task"]["Status"], whole["Spec"]["process"]["args"]), ("seen", "running", ["sleep", "300"]))
        self.assertEqual(self.ctr("inspect", "seen", "Spec.process.args[1]").stdout, "300\n")
        self.assertEqual(self.ctr("inspect", "seen", "Labels[io.containerd.image.config.stop-signal]").stdout, "SIGTERM\n")
        self.assertEqual(self.json("inspect", "seen", ".Past")["OOMKilled"], False)
        for path, word in (("Spec.nothing", '"nothing" is not there'), ("Spec[x", '"]" is missing'), ("Spec.process.args[9]", '"9"')):
            r = self.ctr("inspect", "seen", path, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(word, r.stderr)

    def test_why(self):
        self.running(name="up")
        self.assertIn("up is running: process", self.ctr("why", "up").stdout)
        self.ctr("tasks", "kill", "-s", "KILL", "up")
        self.ended("up")
        self.ctr("run", "-d", self.IMAGE, "ends", "sh", "-c", "echo first; echo last words >&2; exit 3")
        self.ctr("run", "-d", self.IMAGE, "typo", "/no/such", check=False)
        self.ctr("run", "-d", "--memory-limit", "8m", self.IMAGE, "hungry", "sh", "-c", "x=$(yes | head -c 64000000); echo $x")
        self.ctr("containers", "create", self.IMAGE, "cold", "true")
        self.ended("ends")
        self.ended("hungry")
        self.assertEqual((self.why("up")["ExitStatus"], self.why("up")["Signal"]), (137, "SIGKILL"))
        text = self.ctr("why", "ends").stdout
        self.assertRegex(text, r"ends is not running: it ended .* ago \(.*Z\) with exit code 3\n  the end of its log:\n    first\n    last words\n")
        self.assertNotIn("\033", text)  # no colours where no terminal is
        self.ctr("run", "-d", self.IMAGE, "evil", "printf", "\\033]0;pwned\\a\\n")
        self.ended("evil")
        self.assertIn("\n    ?]0;pwned?\n", self.ctr("why", "evil").stdout)  # a container does not write to the terminal here
        self.assertIn("/no/such", self.why("typo")["Error"])
        self.assertIn("could not be started", self.ctr("why", "typo").stdout)
        wait_for("the memory event", lambda: self.why("hungry")["OOMKilled"])
        self.assertIn("with a limit of 8.0 MiB", self.ctr("why", "hungry").stdout)
        self.assertIn("never started", self.ctr("why", "cold").stdout)
        # what is remembered outlives the task and the daemon, and ends with the container
        self.ctr("tasks", "rm", "ends")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual((self.why("ends")["ExitStatus"], self.why("ends")["Log"]), (3, ["first", "last words"]))
        kept = self.daemon.state / "io.casco.history" / "default" / "ends"
        self.assertTrue(kept.exists())
        self.ctr("containers", "rm", "ends")
        wait_for("it to be forgotten", lambda: not kept.exists())


if __name__ == "__main__":
    unittest.main()
