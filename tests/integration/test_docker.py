"""The real dockerd (Debian's docker.io): on our containerd, shim and runc; and on Debian's with our runc."""
import json
import os
import pathlib
import sys
import threading
import time
import unittest

from casco import CONFIG_V2, TOP, Daemon, Scratch, Terminal, our_env, processes, run, wait_for
from dockerd import DOCKER, DOCKERD, Dockerd

sys.path.insert(0, str(TOP / "tools"))
import mkimage  # noqa: E402 (found through the line above)

PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def setup(cls, binary, **config):
    cls.scratch = Scratch()
    cls.addClassCleanup(cls.scratch.remove)
    env = our_env(HOME=str(cls.scratch.path)) if not binary else our_env(HOME=str(cls.scratch.path), PATH=PLAIN_PATH)
    cls.daemon = Daemon(cls.scratch.path, binary=binary, env=env, **config)
    cls.daemon.start()
    cls.addClassCleanup(cls.daemon.stop)
    base = cls.scratch.path / "docker"
    base.mkdir()
    cls.docker = Dockerd(base, cls.daemon.address, env)
    cls.docker.start()
    cls.addClassCleanup(cls.docker.stop)
    (base / "rootfs.tar").write_bytes(mkimage.rootfs_layer("/bin/busybox"))
    cls.docker("import", "-c", 'CMD ["sh"]', base / "rootfs.tar", "busybox:latest")


class Daily:
    """What people do all day; the classes below say on which daemon."""

    def tearDown(self):
        left = self.docker("ps", "-aq").stdout.split()
        if left:
            self.docker("rm", "-f", *left)

    def inspect(self, name, kind="container"):
        return json.loads(self.docker(kind, "inspect", name).stdout)[0]

    def state(self, name):
        return self.inspect(name)["State"]

    def background(self, *flags, name="bg", command=("sleep", "300")):
        self.docker("run", "-d", "--name", name, *flags, "busybox", *command)
        return name

    def test_run_tells_output_and_exit_code(self):
        r = self.docker("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 7", input="from stdin\n", check=False)
        self.assertEqual((r.stdout, r.stderr, r.returncode), ("from stdin\n", "err\n", 7))
        self.assertEqual(self.docker("ps", "-aq").stdout, "")

    def test_a_program_that_is_missing(self):
        r = self.docker("run", "--rm", "busybox", "/no/such", check=False)
        self.assertEqual(r.returncode, 127, r.stderr)
        self.assertIn("no such file or directory", r.stderr)
        r = self.docker("run", "--rm", "busybox", "/etc/passwd", check=False)
        self.assertEqual(r.returncode, 126, r.stderr)
        self.assertIn("permission denied", r.stderr)

    def test_terminal(self):
        t = Terminal(self.docker.command("run", "--rm", "-it", "--name", "tty", "busybox", "sh"), env=self.docker.env)
        self.addCleanup(t.close)
        t.expect("# ")
        t.resize(31, 91)
        time.sleep(0.3)
        t.type("stty size; exit 9\n")
        t.expect("31 91")
        self.assertEqual(t.wait(), 9)

    def test_exec_logs_top_and_cp(self):
        self.background(command=("sh", "-c", "echo one; echo two >&2; exec sleep 300"))
        wait_for("the log", lambda: "one" in self.docker("logs", "bg").stdout)
        self.assertEqual(self.docker("logs", "bg").stderr, "two\n")
        r = self.docker("exec", "-e", "A=b", "-u", "12:13", "-w", "/tmp", "bg", "sh", "-c", "echo $A $(id -u) $(id -g) $(pwd); exit 4", check=False)
        self.assertEqual((r.stdout, r.returncode), ("b 12 13 /tmp\n", 4))
        r = self.docker("exec", "bg", "/no/such", check=False)
        self.assertEqual(r.returncode, 126, r.stderr)  # an exec's, whatever the cause
        self.assertIn("sleep 300", self.docker("top", "bg").stdout)
        self.docker("cp", __file__, "bg:/tmp/copied")
        self.assertEqual(self.docker("exec", "bg", "wc", "-c", "/tmp/copied").stdout.split()[0], str(os.path.getsize(__file__)))
        self.docker("cp", "bg:/tmp/copied", self.scratch.path / "back")
        self.assertEqual((self.scratch.path / "back").read_bytes(), pathlib.Path(__file__).read_bytes())
        self.assertIn("A /tmp/copied", self.docker("diff", "bg").stdout)

    def test_stop_kill_restart_rename_wait(self):
        self.background(command=("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"))
        self.docker("stop", "-t", "10", "bg")
        self.assertEqual(self.state("bg")["ExitCode"], 5)
        self.docker("start", "bg")
        first = self.state("bg")["Pid"]
        self.docker("restart", "-t", "0", "bg")
        self.assertNotEqual(self.state("bg")["Pid"], first)
        self.docker("rename", "bg", "other")
        self.docker("kill", "-s", "KILL", "other")
        self.assertEqual(self.docker("wait", "other").stdout, "137\n")
        self.docker("rm", "other")

    def test_pause_stats_update(self):
        self.background("--memory", "64m", "--cpus", "0.5", "--pids-limit", "40")
        self.docker("pause", "bg")
        self.assertEqual(self.state("bg")["Status"], "paused")
        self.docker("unpause", "bg")
        row = json.loads(self.docker("stats", "--no-stream", "--format", "{{json .}}", "bg").stdout)
        self.assertIn("/ 64MiB", row["MemUsage"])
        self.assertGreaterEqual(int(row["PIDs"]), 1)
        self.docker("update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "1", "bg")
        r = self.docker("exec", "bg", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", check=False)
        self.assertEqual(r.stdout.strip(), str(96 << 20), r.stderr)

    def test_security_and_mounts(self):
        (self.scratch.path / "volume").mkdir(exist_ok=True)
        (self.scratch.path / "volume/file").write_text("host\n")
        r = self.docker("run", "--rm", "--read-only", "--tmpfs", "/t:size=1m", "--security-opt", "no-new-privileges", "--cap-drop", "ALL",
                        "--device", "/dev/null:/dev/mine", "-v", f"{self.scratch.path}/volume:/v:ro", "--hostname", "box", "--ulimit",
                        "nofile=64:64", "--init", "--shm-size", "2m", "--label", "a=b", "busybox", "sh", "-c",
                        "touch /x; echo > /t/y && cat /v/file; touch /v/z; hostname; ulimit -n; grep -E 'NoNewPrivs|CapEff|Seccomp:' "
                        "/proc/self/status; ls /dev/mine; cat /proc/1/comm")
        self.assertEqual(r.stdout.split(), ["host", "box", "64", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2",
                                            "/dev/mine", "docker-init"], r.stderr)
        self.assertEqual(r.stderr.count("Read-only file system"), 2)
        r = self.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "--privileged", "busybox", "grep", "-E", "Seccomp:", "/proc/self/status")
        self.assertEqual(r.stdout.split(), ["Seccomp:", "0"])

    def test_commit_build_save_and_load(self):
        self.background(name="made", command=("sh", "-c", "echo kept > /kept"))
        self.docker("wait", "made")
        self.docker("commit", "made", "committed:1")
        self.assertEqual(self.docker("run", "--rm", "committed:1", "cat", "/kept").stdout, "kept\n")
        r = self.docker("build", "-q", "-t", "built:1", "-", input="FROM committed:1\nRUN echo more >> /kept\nENV X=y\n"
                        "HEALTHCHECK --interval=100ms CMD test -e /healthy\nCMD cat /kept\n")
        self.assertEqual(self.docker("run", "--rm", "built:1").stdout, "kept\nmore\n", r.stderr)
        self.docker("save", "-o", self.scratch.path / "saved.tar", "built:1")
        self.docker("rmi", "built:1", "committed:1")
        self.docker("load", "-i", self.scratch.path / "saved.tar")
        self.assertEqual(self.inspect("built:1", "image")["Config"]["Env"][-1], "X=y")
        self.docker("run", "-d", "--name", "hc", "built:1", "sleep", "300")
        self.docker("exec", "hc", "touch", "/healthy")
        wait_for("health", lambda: self.state("hc")["Health"]["Status"] == "healthy")
        self.docker("rm", "-f", "hc")
        self.docker("rmi", "built:1")

    def test_networks_and_published_ports(self):
        self.docker("network", "create", "net")
        self.addCleanup(self.docker, "network", "rm", "net", check=False)
        self.background("--network", "net", "-p", "127.0.0.1:8088:80", name="web",
                        command=("sh", "-c", "mkdir /w; echo page > /w/index.html; exec httpd -f -p 80 -h /w"))
        self.addCleanup(self.docker, "rm", "-f", "web", check=False)
        address = self.inspect("web")["NetworkSettings"]["Networks"]["net"]["IPAddress"]
        get = ("wget", "-q", "-O", "-")
        wait_for("the page", lambda: self.docker("run", "--rm", "--network", "net", "busybox", *get, f"http://{address}/",
                                                 check=False).stdout == "page\n")
        # from outside: only through the published port
        r = run([*self.docker.inside(), "busybox", *get, "http://127.0.0.1:8088/"])
        self.assertEqual(r.stdout, "page\n")
        self.assertEqual(self.docker("port", "web").stdout, "80/tcp -> 127.0.0.1:8088\n")

    def test_volumes(self):
        self.docker("volume", "create", "vol")
        self.docker("run", "--rm", "-v", "vol:/data", "busybox", "sh", "-c", "echo kept > /data/x")
        self.assertEqual(self.docker("run", "--rm", "-v", "vol:/data:ro", "busybox", "cat", "/data/x").stdout, "kept\n")
        self.docker("volume", "rm", "vol")

    def test_restart_policy(self):
        self.background("--restart", "on-failure:3", command=("sh", "-c", "echo again; exit 1"))
        wait_for("three restarts", lambda: self.inspect("bg")["RestartCount"] == 3 and not self.state("bg")["Running"])
        self.assertEqual(self.docker("logs", "bg").stdout, "again\n" * 4)

    def test_events(self):
        self.background(command=("true",))
        self.docker("wait", "bg")
        wait_for("the exit", lambda: not self.state("bg")["Running"])
        r = self.docker("events", "--since", str(int(time.time()) - 60), "--until", str(int(time.time()) + 1), "--filter", "container=bg",
                        "--format", "{{.Status}}")
        self.assertEqual([x for x in r.stdout.split() if x in ("create", "start", "die")], ["create", "start", "die"])

    def test_many_at_once(self):
        codes = []

        def one(i):
            codes.append(self.docker("run", "--rm", "busybox", "sh", "-c", f"exit {i}", check=False).returncode)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(codes), list(range(12)))


@unittest.skipUnless(DOCKERD.exists() and DOCKER.exists(), "Debian's docker.io is not installed")
class OnOurs(Daily, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        setup(cls, None)

    def shims(self):
        return [p for p in processes(str(self.scratch.path)) if "containerd-shim-runc-v2" in p]

    def test_containers_live_while_both_daemons_restart(self):
        self.background("--restart", "always", name="lives", command=("sh", "-c", "while :; do date +%s; sleep 0.2; done"))
        self.background(name="ends", command=("sh", "-c", "sleep 1.5; exit 33"))
        pid = self.state("lives")["Pid"]
        self.daemon.kill()
        self.daemon.start()
        wait_for("dockerd to see the new containerd",
                 lambda: self.docker("exec", "lives", "echo", "yes", check=False).stdout == "yes\n")
        self.docker.process.kill()
        self.docker.process.wait()
        self.daemon.kill()
        time.sleep(1.5)  # the second container ends, and nobody is there
        self.daemon.start()
        self.docker.start()
        self.assertEqual(self.state("lives")["Pid"], pid)
        wait_for("the exit to be known", lambda: not self.state("ends")["Running"])
        self.assertEqual(self.state("ends")["ExitCode"], 33)
        self.docker("rm", "-f", "lives", "ends")
        wait_for("the shims to end", lambda: not self.shims())


@unittest.skipUnless(DOCKERD.exists() and DOCKER.exists(), "Debian's docker.io is not installed")
@unittest.skipUnless(os.path.exists("/usr/bin/containerd"), "Debian's containerd is not installed")
class OnDebians(Daily, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        setup(cls, "/usr/bin/containerd", config=CONFIG_V2)

    # Not the runtime's matter: seen above.
    test_events = test_volumes = test_networks_and_published_ports = test_commit_build_save_and_load = None


if __name__ == "__main__":
    unittest.main()
