"""Debian's podman with our runc as its runtime: run, exec, logs, stop, limits."""
import json
import pathlib
import shutil
import unittest

from casco import SHARE, Scratch, our_env, program, run, wait_for


@unittest.skipUnless(shutil.which("podman"), "podman is not installed")
class Podman(unittest.TestCase):
    IMAGE = "docker.io/library/busybox:latest"

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        p = cls.scratch.path
        (p / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
                                           '[containers]\nseccomp_profile = ""\noom_score_adj = 0\n'
                                           # without CAP_SYS_RESOURCE podman's own default can't be had
                                           'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        cls.env = our_env(CONTAINERS_CONF=str(p / "containers.conf"), TMPDIR=str(p))
        cls.env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        shutil.copy(SHARE / "busybox.tar", p / "image.tar")
        cls.podman("load", "-i", p / "image.tar")

    @classmethod
    def tearDownClass(cls):
        cls.podman("rm", "-af", "-t", "0", check=False)
        cls.podman("system", "prune", "-af", check=False)
        for name in ("libpod_parent/conmon", "libpod_parent"):  # podman keeps its own for next time
            for folder in pathlib.Path("/sys/fs/cgroup").glob(f"*/**/{name}"):
                folder.rmdir()

    @classmethod
    def podman(cls, *args, **kw):
        p = cls.scratch.path
        return run(["podman", "--root", p / "root", "--runroot", p / "run", "--tmpdir", p / "tmp",
                    "--storage-driver", "vfs", "--runtime", program("runc"), "--cgroup-manager", "cgroupfs", *args],
                   env=cls.env, timeout=120, **kw)

    RUN = ("run", "--network", "none", "--security-opt", "seccomp=unconfined")

    def test_run_says_and_ends(self):
        r = self.podman(*self.RUN, "--rm", self.IMAGE, "sh", "-c", "echo hello; exit 3", check=False)
        self.assertEqual((r.stdout, r.returncode), ("hello\n", 3), r.stderr)

    def test_user_and_environment(self):
        r = self.podman(*self.RUN, "--rm", "-e", "A=b c", "--user", "1000:1001", "-w", "/tmp", self.IMAGE, "sh", "-c",
                        "id -u; id -g; echo $A; pwd")
        self.assertEqual(r.stdout, "1000\n1001\nb c\n/tmp\n")

    def test_exec_logs_stop(self):
        self.podman(*self.RUN, "-d", "--name", "bg", self.IMAGE, "sh", "-c", "echo started; exec sleep 300")
        self.addCleanup(self.podman, "rm", "-f", "-t", "0", "bg", check=False)
        wait_for("the log", lambda: "started" in self.podman("logs", "bg").stdout)
        r = self.podman("exec", "bg", "sh", "-c", "echo inside; exit 4", check=False)
        self.assertEqual((r.stdout, r.returncode), ("inside\n", 4), r.stderr)
        self.podman("stop", "-t", "1", "bg")
        state = json.loads(self.podman("inspect", "bg").stdout)[0]["State"]
        self.assertEqual((state["Status"], state["ExitCode"]), ("exited", 137))

    def test_limits(self):
        script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -1"
        r = self.podman(*self.RUN, "--rm", "--memory", "64m", "--pids-limit", "50", self.IMAGE, "sh", "-c", script)
        self.assertEqual(r.stdout.strip(), str(64 << 20), r.stderr)

    def test_what_a_container_may_be_given(self):
        """A user namespace, a tmpfs, a root that can't be written, rights and processor time, in one."""
        script = ("cat /proc/self/uid_map; touch /x 2>/dev/null || echo read-only; "
                  "grep ' /scratch ' /proc/mounts | cut -d, -f1-2; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status; "
                  "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max")
        r = self.podman(*self.RUN, "--rm", "--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000",
                        "--read-only", "--tmpfs", "/scratch:size=1m", "--security-opt", "no-new-privileges", "--cap-drop", "all",
                        "--cap-add", "KILL", "--cpus", "0.5", self.IMAGE, "sh", "-c", script)
        self.assertEqual(r.stdout.split(), ["0", "100000", "1000", "read-only", "tmpfs", "/scratch", "tmpfs", "rw,nosuid",
                                            "CapEff:", f"{1 << 5:016x}", "NoNewPrivs:", "1", "50000"], r.stderr)

    def test_stats_update_health_pause(self):
        self.podman(*self.RUN, "-d", "--name", "life", "--memory", "64m", "--pids-limit", "50", "--device", "/dev/null:/dev/mine", "--health-cmd", "test -e /tmp/well",
                    "--health-interval", "disable", self.IMAGE, "sleep", "300")
        self.addCleanup(self.podman, "rm", "-f", "-t", "0", "life", check=False)
        r = self.podman("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "life")
        self.assertRegex(r.stdout, r"^life 1 [0-9.]+[kM]B / 67\.11MB\n$")
        self.podman("update", "--memory", "96m", "--cpus", "0.5", "life")
        r = self.podman("exec", "life", "sh", "-c", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us "
                                                    "2>/dev/null || { cat memory.max pids.max; cut -d' ' -f1 cpu.max; }; stat -c %t:%T /dev/mine")
        self.assertEqual(r.stdout.split(), [str(96 << 20), "50", "50000", "1:3"])
        self.assertEqual(self.podman("healthcheck", "run", "life", check=False).returncode, 1)
        self.podman("exec", "life", "touch", "/tmp/well")
        self.podman("healthcheck", "run", "life")
        self.podman("pause", "life")
        self.assertEqual(self.podman("inspect", "-f", "{{.State.Status}}", "life").stdout, "paused\n")
        self.podman("unpause", "life")
        self.assertIn("sleep", self.podman("top", "life", "comm").stdout)

    def test_default_seccomp_profile(self):
        r = self.podman("run", "--network", "none", "--rm", self.IMAGE, "grep", "Seccomp:", "/proc/self/status")
        self.assertEqual(r.stdout.split(), ["Seccomp:", "2"], r.stderr)


if __name__ == "__main__":
    unittest.main()
