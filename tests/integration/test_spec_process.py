"""process: scheduler, priorities, processors, personality, memory policy, limits, labels; hooks of all six kinds."""
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from bundle import RuncTest
from casco import program

CPUS = sorted(os.sched_getaffinity(0))
STATUS = ["grep", "-F", "Cpus_allowed_list:", "/proc/self/status"]


class Tune(RuncTest):
    def setUp(self):
        super().setUp()
        self.p, self.linux = self.b.config["process"], self.b.config["linux"]

    def pid(self):
        return json.loads(self.runc("state", self.id).stdout)["pid"]

    def exec_process(self, *args, **fields):
        (self.top / "process.json").write_text(json.dumps({
            "args": list(args), "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], **fields}))
        return self.runc("exec", "--process", self.top / "process.json", self.id)

    def test_scheduler(self):
        self.p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
        self.background("sleep", "60")
        self.assertEqual(os.sched_getscheduler(self.pid()), os.SCHED_BATCH)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, self.pid()), 7)
        # exec has the container's, or its own
        stat = self.runc("exec", self.id, "cat", "/proc/self/stat").stdout.rsplit(")", 1)[1].split()
        self.assertEqual((stat[16], stat[38]), ("7", str(os.SCHED_BATCH)))
        r = self.exec_process("cat", "/proc/self/stat", scheduler={"policy": "SCHED_IDLE"})
        self.assertEqual(r.stdout.rsplit(")", 1)[1].split()[38], str(os.SCHED_IDLE), r.stderr)

    def test_real_time(self):
        self.p["scheduler"] = {"policy": "SCHED_RR", "priority": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
        r = self.run_in("cat", "/proc/self/stat")
        if "error setting scheduler: operation not permitted" in r.stderr:
            self.skipTest("cpu cgroups of this machine have no real-time share")
        stat = r.stdout.rsplit(")", 1)[1].split()
        self.assertEqual((stat[37], stat[38]), ("3", str(os.SCHED_RR)))

    def test_scheduler_refusals(self):
        for scheduler, want in (
                ({}, "scheduler policy is required"),
                ({"policy": "SCHED_ODD"}, "invalid scheduler policy: SCHED_ODD"),
                ({"policy": "SCHED_OTHER", "nice": 20}, "invalid scheduler.nice: 20"),
                ({"policy": "SCHED_OTHER", "priority": 1}, "scheduler.priority can only be specified for SchedFIFO or SchedRR"),
                ({"policy": "SCHED_OTHER", "runtime": 1}, "scheduler runtime/deadline/period can only be specified for"),
                ({"policy": "SCHED_OTHER", "flags": ["X"]}, "invalid scheduler flag: X"),
                ({"policy": "SCHED_DEADLINE", "runtime": 2, "deadline": 1}, "error setting scheduler: invalid argument")):
            self.p["scheduler"] = scheduler
            self.fails(want)

    def test_io_priority(self):
        self.p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
        self.background("sleep", "60")
        self.assertIn("best-effort: prio 6", subprocess.check_output(["ionice", "-p", str(self.pid())], text=True))
        r = self.exec_process("sh", "-c", "echo $$; sleep 1", ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0})
        self.assertEqual(r.returncode, 0, r.stderr)
        with subprocess.Popen([program("runc"), "--root", self.state, "exec", self.id, "sleep", "5"]) as one:
            own = None
            while not own:
                own = [p for p in map(int, self.pids()) if p != self.pid()]
            time.sleep(0.1)
            self.assertIn("best-effort: prio 6", subprocess.check_output(["ionice", "-p", str(own[0])], text=True))
            os.kill(own[0], signal.SIGKILL)
            one.wait()
        self.runc("delete", "-f", self.id)
        self.p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 8}
        self.fails("invalid ioPriority.Priority: 8")
        self.p["ioPriority"] = {"class": "X", "priority": 0}
        self.fails("invalid io priority class: X")

    def pids(self):
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/ns/pid"):
            try:
                if os.readlink(stat) == os.readlink(f"/proc/{self.pid()}/ns/pid"):
                    found.append(stat.parts[2])
            except OSError:
                pass
        return found

    def test_personality(self):
        self.linux["personality"] = {"domain": "LINUX32", "flags": []}
        self.background("sleep", "60")
        self.assertEqual(self.runc("exec", self.id, "sh", "-c", "cat /proc/self/personality").stdout, "00000008\n")
        self.assertEqual(pathlib.Path(f"/proc/{self.pid()}/personality").read_text(), "00000008\n")
        self.runc("delete", "-f", self.id)
        self.linux["personality"] = {"domain": "LINUX"}
        self.assertEqual(self.sh("cat /proc/self/personality"), "00000000\n")
        self.linux["personality"] = {"domain": "BSD"}
        self.fails("invalid personality domain BSD")

    def policy(self):
        return self.sh("head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2").strip()

    def test_memory_policy(self):
        for policy, want in (({}, "default"), ({"mode": "MPOL_DEFAULT"}, "default"),
                             ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
                             ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
                             ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "prefer=relative:0")):
            self.linux["memoryPolicy"] = policy
            self.assertEqual(self.policy(), want, policy)
        self.background("sleep", "60")
        self.assertIn("prefer=relative:0", self.runc("exec", self.id, "head", "-n", "1", "/proc/self/numa_maps").stdout)

    def test_memory_policy_refusals(self):
        for policy, want in (({"mode": "INTERLEAVE", "nodes": "0"}, 'invalid memory policy mode "INTERLEAVE"'),
                             ({"nodes": "0-7"}, 'invalid memory policy mode ""'),
                             ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["bad"]}, 'invalid memory policy flag "bad"'),
                             ({"mode": "MPOL_BIND", "nodes": "0-9876543210"}, "invalid memory policy nodes"),
                             ({"mode": "MPOL_BIND", "nodes": "0-"}, "invalid syntax"),
                             ({"mode": "MPOL_DEFAULT", "nodes": "0-7", "flags": ["MPOL_F_STATIC_NODES"]},
                              "set_mempolicy: invalid argument")):
            self.linux["memoryPolicy"] = policy
            self.fails(want)

    def confined(self, *args):
        return subprocess.run(["taskset", "-c", str(CPUS[0]), program("runc"), "--root", self.state, *args], cwd=self.b.path,
                              text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)

    @unittest.skipIf(len(CPUS) < 2, "needs two processors")
    def test_affinity_of_the_caller_is_not_the_containers(self):
        own = f"{CPUS[0]}-{CPUS[-1]}" if CPUS == list(range(CPUS[0], CPUS[-1] + 1)) else ",".join(map(str, CPUS))
        self.p["args"] = STATUS
        self.b.write()
        self.assertEqual(self.confined("run", self.id).stdout.split()[-1], own)
        self.background("sleep", "60")
        self.assertEqual(self.confined("exec", self.id, *STATUS).stdout.split()[-1], own)

    @unittest.skipIf(len(CPUS) < 2, "needs two processors")
    def test_exec_affinity(self):
        one, two = str(CPUS[0]), str(CPUS[1])
        self.p["execCPUAffinity"] = {"initial": one, "final": f" {two} ,"}
        self.background("sleep", "60")
        both = pathlib.Path(f"/proc/{self.pid()}/status").read_text().split("Cpus_allowed_list:")[1].split()[0]
        self.assertNotIn(both, (one, two))  # not for the container's own process
        self.assertEqual(self.runc("exec", self.id, *STATUS).stdout.split()[-1], two)
        r = self.exec_process(*STATUS, execCPUAffinity={"final": one})
        self.assertEqual(r.stdout.split()[-1], one, r.stderr)
        r = self.exec_process(*STATUS, execCPUAffinity={"initial": two})
        self.assertIn(r.stdout.split()[-1], (two, both), r.stderr)  # a cpuset of its own decides
        for bad, want in (("x", "invalid syntax"), ("1-0", "invalid syntax"), ("1024", "values larger than 1023"),
                          ("1023", "error setting final CPU affinity: invalid argument")):
            r = self.exec_process("true", execCPUAffinity={"final": bad})
            self.assertIn(want, r.stderr)

    def test_rlimits_with_a_user_namespace(self):
        self.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]
        self.linux["namespaces"].append({"type": "user"})
        self.linux["uidMappings"] = self.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        os.chmod(self.top, 0o711)
        self.assertEqual(self.sh("ulimit -Sn; ulimit -Hn; grep core /proc/self/limits").split()[:2], ["100", "200"])

    def test_rlimit_refusals(self):
        self.p["rlimits"] = [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]
        self.fails("wrong rlimit value: RLIMIT_X")
        self.p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]
        self.fails("error setting rlimits for ready process: error setting rlimit type 7 (RLIMIT_NOFILE): invalid argument")

    def test_ambient_capabilities(self):
        self.p["user"] = {"uid": 1000, "gid": 1000}
        caps = ["CAP_NET_RAW", "CAP_KILL"]
        self.p["capabilities"] = {k: caps for k in ("bounding", "effective", "permitted", "inheritable")}
        self.p["capabilities"]["ambient"] = ["CAP_NET_RAW"]
        out = self.sh("grep Cap /proc/self/status").split()
        self.assertEqual([int(v, 16) for v in out[1::2]], [0x2020, 0x2000, 0x2000, 0x2020, 0x2000])


    def test_ambient_capabilities_that_cannot_be(self):
        self.p["capabilities"].update(inheritable=["CAP_KILL"], ambient=["CAP_KILL", "CAP_CHOWN"])
        r = self.run_in("grep", "CapAmb", "/proc/self/status")
        self.assertEqual(int(r.stdout.split()[1], 16), 1 << 5)
        self.assertIn("can't raise ambient capability CAP_CHOWN: operation not permitted", r.stderr)
        self.assertNotIn("capability CAP_KILL", r.stderr)


class Labels(RuncTest):
    @unittest.skipIf(os.path.exists("/sys/module/apparmor"), "AppArmor is on")
    def test_apparmor_is_off(self):
        self.b.config["process"]["apparmorProfile"] = "some-profile"
        self.fails("unable to apply apparmor profile: apparmor: config provided but apparmor not supported")
        del self.b.config["process"]["apparmorProfile"]
        self.background("sleep", "60")
        r = self.runc("exec", "--apparmor", "p", self.id, "true")
        self.assertIn("apparmor not supported", r.stderr)

    @unittest.skipIf(os.path.exists("/sys/fs/selinux/enforce"), "SELinux is on")
    def test_selinux_is_off(self):
        self.b.config["process"]["selinuxLabel"] = "system_u:system_r:container_t:s0"
        self.fails("selinux label is specified in config, but selinux is disabled or not supported")
        self.b.config["process"]["selinuxLabel"] = ""
        self.b.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
        self.fails("selinux mount label is specified in config, but selinux is disabled or not supported")


    @unittest.skipIf(os.path.exists("/sys/fs/resctrl/tasks"), "resctrl is mounted")
    def test_resctrl_is_missing(self):
        self.b.config["linux"]["intelRdt"] = {"closID": "x"}
        self.fails("intelRdt is specified in config, but Intel RDT is not enabled")


class Hooks(RuncTest):
    KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

    def hook(self, kind, script, **fields):
        self.b.config.setdefault("hooks", {}).setdefault(kind, []).append(
            {"path": "/bin/sh", "args": ["sh", "-c", script], **fields})

    def start(self):
        """create and start from another folder, with an environment: (exit code, output)."""
        self.b.config["process"]["args"] = ["sh", "-c", "echo process >>/log; sleep 60"]
        self.b.config["root"]["readonly"] = False
        self.b.write()
        code = 0
        with open(self.top / "out", "w") as out:
            for args in (["create", "-b", self.b.path, self.id], ["start", self.id]):
                code = code or subprocess.run([program("runc"), "--root", self.state, *args], cwd="/", timeout=30, check=False,
                                              stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                              env={**os.environ, "FROM_CALLER": "1"}).returncode
        return code, (self.top / "out").read_text()

    def test_all_six(self):
        """Order, state, status, pid, environment and folder of each."""
        log = self.b.root / "log"
        inside = {"startContainer": "/log", "createContainer": str(log)}
        for kind in self.KINDS:
            self.hook(kind, f"echo {kind} $(cat) >>{inside.get(kind, log)}; env >>{inside.get(kind, log)}.{kind}; "
                      f"pwd >{inside.get(kind, log)}.{kind}.pwd", env=["ONLY=this"])
        code, out = self.start()
        self.assertEqual(code, 0, out)
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        self.runc("delete", "-f", self.id)
        lines = log.read_text().splitlines()
        order = [l.split()[0] for l in lines]
        self.assertEqual([o for o in order if o != "process"], list(self.KINDS))
        self.assertGreater(order.index("process"), order.index("startContainer"))
        states = {l.split(" ", 1)[0]: json.loads(l.split(" ", 1)[1]) for l in lines if " " in l}
        self.assertEqual([states[k]["status"] for k in self.KINDS],
                         ["creating", "creating", "creating", "created", "running", "stopped"])
        self.assertEqual([states[k].get("pid") for k in self.KINDS], [pid, pid, 1, 1, pid, None])
        for kind in self.KINDS:
            self.assertEqual((states[kind]["id"], states[kind]["bundle"]), (self.id, str(self.b.path)))
            names = {l.split("=")[0] for l in pathlib.Path(f"{log}.{kind}").read_text().splitlines()}
            self.assertLessEqual(names, {"ONLY", "PWD", "SHLVL", "_", "OLDPWD", "PATH"}, kind)  # the shells' own
            self.assertIn("ONLY", names)
        for kind in ("prestart", "createRuntime", "poststart", "poststop"):
            self.assertEqual(pathlib.Path(f"{log}.{kind}.pwd").read_text().strip(), str(self.b.path), kind)
        self.assertEqual(pathlib.Path(f"{log}.startContainer.pwd").read_text(), "/\n")
        self.assertEqual(pathlib.Path(f"{log}.createContainer.pwd").read_text().strip(), str(self.b.root))

    def test_pid_without_a_pid_namespace(self):
        linux = self.b.config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "pid"]
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/proc"]
        linux.update(maskedPaths=[], readonlyPaths=[])
        self.hook("createContainer", f"cat >{self.top}/seen")
        code, out = self.start()
        self.assertEqual(code, 0, out)
        self.assertEqual(json.loads((self.top / "seen").read_text())["pid"],
                         json.loads(self.runc("state", self.id).stdout)["pid"])

    def test_environment_of_start_container(self):
        """The program's, unless it has its own."""
        self.b.config["process"].update(args=["/bin/true"], env=["ONE=two"])
        self.hook("startContainer", "test $ONE = two && test -n $HOME")
        self.hook("startContainer", "test $ONE = 3", env=["ONE=3"])
        self.b.write()
        r = self.runc("run", self.id)
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_failures(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            self.b.config["hooks"] = {}
            self.hook(kind, "exit 0")
            self.hook(kind, "echo said; echo bad >&2; exit 3")
            self.fails(f"error running {kind} hook #1: exit status 3, stdout: said, stderr: bad")
        self.b.config["hooks"] = {"createRuntime": [{"path": "/nowhere"}]}
        self.fails("error running createRuntime hook #0: fork/exec /nowhere: no such file or directory")
        self.b.config["hooks"] = {}
        self.hook("startContainer", "exit 4")
        self.fails("error running startContainer hook #0: exit status 4")
        for signal, words in (("KILL", "killed"), ("SEGV", "segmentation fault"), ("XCPU", "CPU time limit exceeded"), ("35", "signal 35")):
            self.b.config["hooks"] = {}
            self.hook("createRuntime", f"ulimit -c 0; kill -{signal} $$")
            self.fails(f"hook #0: signal: {words}, stdout: , stderr: ")

    def test_timeout(self):
        self.hook("prestart", "sleep 20", timeout=1)
        start = time.monotonic()
        self.fails("error running prestart hook #0: hook ran past specified timeout of 1.0s")
        self.assertLess(time.monotonic() - start, 10)

    def test_a_failing_poststart_stops_the_container(self):
        self.hook("poststart", "exit 5")
        code, out = self.start()
        self.assertNotEqual(code, 0)
        self.assertIn("error running poststart hook #0: exit status 5", out)
        end = time.monotonic() + 5
        while json.loads(self.runc("state", self.id).stdout)["status"] != "stopped" and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(json.loads(self.runc("state", self.id).stdout)["status"], "stopped")
        self.assertEqual(self.runc("delete", self.id).returncode, 0)
        self.fails("error running poststart hook #0: exit status 5")

    def test_a_failing_poststop_is_a_warning(self):
        self.hook("poststop", "exit 6")
        self.hook("poststop", f"touch {self.top}/second")
        code, out = self.start()
        self.assertEqual(code, 0, out)
        r = self.runc("delete", "-f", self.id)
        self.assertEqual(r.returncode, 0)
        self.assertIn("level=warning", r.stderr)
        self.assertIn("error running poststop hook #0: exit status 6", r.stderr)
        self.assertTrue((self.top / "second").exists())


if __name__ == "__main__":
    unittest.main()
