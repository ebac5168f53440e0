"""Limits, statistics and events of real containers: on the machine's own layout, in a view where only
cgroup2 is to be seen, and (in a virtual machine) on cgroup2 with all its controllers.  Where Debian's
runc can do the same, it must leave the same values in the same files."""
import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import time
import unittest

from bundle import RuncTest
from casco import program, wait_for

DEBIAN_RUNC = "/usr/sbin/runc"
MIB = 1 << 20
V2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
           'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]
ROOT = pathlib.Path("/sys/fs/cgroup")
IS_V2 = (ROOT / "cgroup.controllers").exists()
CONTROLLERS = (ROOT / "cgroup.controllers").read_text().split() if IS_V2 else []
V1_FILES = {
    "memory": ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness"],
    "cpu": ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.idle", "cpu.cfs_burst_us"],
    "cpuset": ["cpuset.cpus", "cpuset.mems"],
    "pids": ["pids.max"],
    "blkio": ["blkio.weight", "blkio.bfq.weight", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
              "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"],
}


def a_disk():
    """MAJOR, MINOR of some whole block device."""
    for d in sorted(pathlib.Path("/sys/block").glob("*")):
        if not d.name.startswith(("zram", "ram", "fd")):
            return tuple(map(int, (d / "dev").read_text().split(":")))
    raise unittest.SkipTest("the machine has no block device")


class Limits(RuncTest):
    wrap = []  # in front of runc: the view it has of the machine
    runtime = None  # another one than ours

    def setUp(self):
        super().setUp()
        self.resources = self.b.config["linux"].setdefault("resources", {})

    def command(self, *args):
        return [*self.wrap, self.runtime or program("runc"), "--root", str(self.state), *map(str, args)]

    def runc(self, *args, **kw):
        kw.setdefault("stdin", None if "input" in kw else subprocess.DEVNULL)
        if "input" in kw:
            del kw["stdin"]
        return subprocess.run(self.command(*args), cwd=self.b.path, timeout=30, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, **kw)

    def start(self, *args):
        self.b.config["process"]["args"] = list(args) or ["sleep", "60"]
        self.b.write()
        with open(self.top / "out", "w") as out:
            r = subprocess.run(self.command("run", "-d", self.id), cwd=self.b.path, stdin=subprocess.DEVNULL, stdout=out,
                               stderr=out, check=False)
        self.assertEqual(r.returncode, 0, (self.top / "out").read_text())

    def saved(self):
        return json.loads((self.state / self.id / "state.json").read_text())

    def update(self, *args):
        r = self.runc("update", *args, self.id)
        self.assertEqual(r.returncode, 0, r.stderr)

    def update_json(self, resources, status=0):
        r = self.runc("update", "-r", "-", self.id, input=json.dumps(resources))
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr.replace("\\", "")

    def refuse(self, text, *args):
        r = self.runc("update", *args, self.id)
        self.assertEqual(r.returncode, 1, r.stdout)
        self.assertIn(text, r.stderr.replace("\\", ""))

    def folder(self, controller):
        paths = self.saved()["cgroup_paths"]
        path = paths.get(controller, paths.get(""))
        if self.wrap:  # where the view's hierarchy is to be seen from here
            path = path.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified", 1)
        return pathlib.Path(path)

    def value(self, controller, file):
        return (self.folder(controller) / file).read_text().strip()

    def stats(self):
        r = self.runc("events", "--stats", self.id)
        self.assertEqual(r.returncode, 0, r.stderr)
        event = json.loads(r.stdout)
        self.assertEqual((event["type"], event["id"]), ("stats", self.id))
        self.assertTrue(r.stdout.endswith("}\n") and r.stdout.count("\n") == 1)
        return event["data"]

    @contextlib.contextmanager
    def events(self, *args):
        """runc events in the background; the block gets a function that returns the lines so far."""
        log = self.top / "events"
        with open(log, "w") as out:
            p = subprocess.Popen(self.command("events", *args, self.id), stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT)
        try:
            yield lambda: [json.loads(l) for l in log.read_text().splitlines()]
            self.assertEqual(p.wait(10), 0, log.read_text())  # it ends with the container
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()


class Common:
    """What holds on every layout."""

    def test_names_in_any_case(self):
        self.start()
        self.update_json({"HugepageLimits": []})
        self.assertIn("pids.limit is a string", self.update_json({"Pids": {"Limit": "x"}}, status=1))

    def test_what_update_refuses(self):
        self.start()
        for text, args in {
                "invalid value for memory: invalid suffix: 'x'": ["--memory", "1x"],
                "invalid value for memory: invalid size: 'lots'": ["--memory", "lots"],
                "invalid value for cpu-quota: strconv.ParseInt: parsing \"1k\": invalid syntax": ["--cpu-quota", "1k"],
                "invalid value for cpu-share: strconv.ParseUint: parsing \"-1\": invalid syntax": ["--cpu-share", "-1"],
                "strconv.ParseUint: parsing \"18446744073709551616\": value out of range":
                    ["--cpu-period", "18446744073709551616"],
                "Intel RDT/CAT: l3 cache schema is not enabled": ["--l3-cache-schema", "L3:0=f"],
                "Intel RDT/MBA: memory bandwidth schema is not enabled": ["--mem-bw-schema", "MB:0=20"],
                "invalid blkio weight 5000 (valid range is 10-1000)": ["--blkio-weight", "5000"],
                "open /nonexistent: no such file or directory": ["-r", "/nonexistent"],
        }.items():
            with self.subTest(text):
                self.refuse(text, *args)
        self.assertIn("unexpected end of JSON input", self.runc("update", "-r", "-", self.id, input="{").stderr)
        self.assertIn("container does not exist", self.runc("update", "--memory", "1", "nobody").stderr)

    def test_kernel_memory_is_a_warning(self):
        self.start()
        r = self.runc("update", "--kernel-memory", "1M", self.id)
        self.assertEqual(r.returncode, 0)
        self.assertIn("Kernel memory settings are ignored and will be removed", r.stderr)

    def test_stopped_containers(self):
        self.start()
        self.runc("kill", self.id, "KILL")
        wait_for("its end", lambda: self.status() == "stopped")
        self.refuse("container not running", "--pids-limit", "5")
        r = self.runc("events", "--stats", self.id)
        self.assertIn(f"container with id {self.id} is not running", r.stderr)
        self.assertEqual(r.returncode, 1)

    def status(self):
        return json.loads(self.runc("state", self.id).stdout)["status"]

    def test_intervals(self):
        self.start()
        for text, args in {"duration interval must be greater than 0": ["--interval", "0s"],
                           "invalid value \"xs\" for flag -interval: parse error": ["--interval", "xs"]}.items():
            r = self.runc("events", *args, self.id)
            self.assertEqual(r.returncode, 1)
            self.assertIn(text, r.stderr.replace("\\", ""))
        with self.events("--interval", "100ms") as lines:
            wait_for("three lines", lambda: len(lines()) >= 3)
            self.runc("delete", "-f", self.id)
        self.assertEqual({l["type"] for l in lines()}, {"stats"})
        self.assertEqual({l["id"] for l in lines()}, {self.id})

    def test_stats_know_the_container(self):
        self.start()
        data = self.stats()
        self.assertEqual(list(data), ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt",
                                      "network_interfaces"])
        self.assertEqual(data["pids"]["current"], 1)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        self.assertEqual((data["intel_rdt"], data["network_interfaces"]), ({}, None))

    def test_readable_while_updates_run(self):
        self.start()
        busy = subprocess.Popen(["sh", "-c", 'for i in 1 2 3 4 5 6 7 8; do "$@"; done', "sh",
                                 *self.command("update", "--cpuset-cpus", "", self.id)])
        try:
            for _ in range(8):
                self.assertEqual(self.status(), "running")
                r = self.runc("list", "-q")
                self.assertEqual(r.stdout, self.id + "\n", r.stderr)
        finally:
            self.assertEqual(busy.wait(20), 0)

    def test_readable_while_another_update_waits(self):
        """Someone holds the lock that updates take; who only reads does not ask for it."""
        self.start()
        held = os.open(self.state / self.id, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_EX)
        late = subprocess.Popen(self.command("update", "--cpuset-cpus", "", self.id))
        try:
            time.sleep(0.2)
            self.assertIsNone(late.poll())
            self.assertEqual(self.status(), "running")
            self.assertEqual(self.runc("list", "-q").stdout, self.id + "\n")
            self.stats()
        finally:
            os.close(held)
            status = late.wait(10)
        self.assertEqual(status, 0)


@unittest.skipIf(IS_V2, "this machine has no v1 hierarchies")
class OnTheMachine(Common, Limits):
    def setUp(self):
        super().setUp()
        self.disk = None

    def all_values(self):
        found = {}
        for controller, files in V1_FILES.items():
            for file in files:
                path = self.folder(controller) / file
                if path.exists():
                    found[file] = path.read_text()
        return found

    def same_as_debian(self, *updates):
        """Runs the same with both, after it and after each update the files must be equal.  An update is a
        list of options, or a document."""
        seen = []
        for runtime in (DEBIAN_RUNC, None):
            self.runtime = runtime
            values = []
            self.start()
            values.append(self.all_values())
            for u in updates:
                if isinstance(u, dict):
                    self.update_json(u)
                else:
                    self.update(*u)
                values.append(self.all_values())
            seen.append(values)
            self.runc("delete", "-f", self.id)
        for step, (theirs, ours) in enumerate(zip(*seen)):
            self.assertEqual(ours, theirs, f"step {step}: {updates[step - 1] if step else 'run'}")
        return seen[1]

    def test_a_place_on_the_v2_side_of_a_hybrid(self):
        """For who tells processes apart by it; the first process and what is executed later are in the same."""
        if not (ROOT / "unified/cgroup.procs").exists():
            self.skipTest("the layout is not hybrid")
        self.start()
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        last = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]
        self.assertRegex(last, f"^0::/.*{self.id}$")
        # only v1's: this one is made by nobody
        made = [p / "sub" for p in ROOT.rglob(self.id) if "unified" not in p.parts]
        for folder in made:
            folder.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists():
                    (folder / name).write_text((folder.parent / name).read_text())
        try:
            for args in ((), ("--cgroup", "sub")):
                r = self.runc("exec", *args, self.id, "cat", "/proc/self/cgroup")
                self.assertEqual(r.stdout.splitlines()[-1:], [last], r.stderr)
        finally:
            for folder in made:
                wait_for("an empty cgroup", lambda: not (folder / "cgroup.procs").read_text())
                folder.rmdir()

    def test_memory_as_debians(self):
        self.resources["memory"] = {"limit": 33554432, "reservation": 25165824}
        values = self.same_as_debian(
            ["--memory", "67108864"], ["--memory", "50M"], ["--memory-reservation", "33554432"],
            ["--memory-swap", "96468992"], ["--memory", "30M", "--memory-swap", "50M"],
            ["--memory", "60M", "--memory-swap", "80M"], ["--memory", "20m", "--memory-swap", "25m"],
            ["--memory-swap", "-1"], ["--memory", "-1"],
            {"memory": {"limit": 33554432, "reservation": 25165824, "swap": 0}})
        self.assertEqual(values[2]["memory.limit_in_bytes"], "52428800\n")

    def test_cpu_and_pids_as_debians(self):
        self.resources["cpu"] = {"shares": 100, "quota": 500000, "period": 1000000, "cpus": "0"}
        self.resources["pids"] = {"limit": 20}
        values = self.same_as_debian(
            ["--cpu-period", "900000"], ["--cpu-quota", "600000"], ["--cpu-quota", "-1"], ["--cpu-share", "200"],
            ["--pids-limit", "10"], ["--pids-limit", "-1"], ["--cpuset-cpus", "0-1", "--cpuset-mems", "0"],
            {"cpu": {"shares": 100, "quota": 500000, "period": 1000000, "cpus": "0"}, "pids": {"limit": 20}},
            ["--cpu-period", "10000", "--cpu-quota", "3000"])
        self.assertEqual(values[5]["pids.max"], "10\n")

    def test_sizes(self):
        self.start()
        for text, size in {"1.5g": 3 << 29, "64 MiB": 64 << 20, "8192": 8192, "8192b": 8192, "16kb": 16384, "1.5GIB": 3 << 29,
                           ".5M": 1 << 19, "2T": 2 << 40, "0.25p": 1 << 48}.items():
            self.update("--memory-reservation", text)
            self.assertEqual(self.value("memory", "memory.soft_limit_in_bytes"), str(size), text)
        for text in ("1.2.3", "-5", "5 5", "1kbx", "1bb", "k", ".", "9999999p", "1e3"):
            self.refuse("invalid value for memory-reservation: invalid s", "--memory-reservation", text)

    def test_blkio_as_debians(self):
        major, minor = a_disk()

        def throttles(*rates):
            names = ["ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS"]
            return {f"throttle{n}Device": [{"major": major, "minor": minor, "rate": r}] for n, r in zip(names, rates)}

        self.resources["blockIO"] = {"weight": 333, **throttles(485760, 485761, 1001, 1002)}
        values = self.same_as_debian(["--blkio-weight", "444"])
        self.assertIn(f"{major}:{minor} 485760", values[0]["blkio.throttle.read_bps_device"])
        self.start()
        self.update_json({"blockIO": throttles(10485760, 9437184, 1000, 900)})
        for file, rate in zip(V1_FILES["blkio"][2:], (10485760, 9437184, 1000, 900)):
            self.assertEqual(self.value("blkio", file), f"{major}:{minor} {rate}")

    def test_idle_and_burst(self):
        if not (ROOT / "cpu" / "cpu.idle").exists() and not list((ROOT / "cpu").glob("*/cpu.idle")):
            self.skipTest("the kernel has no cpu.idle")
        self.resources["cpu"] = {"shares": 100, "quota": 50000, "period": 100000}
        self.start()
        for idle in ("1", "0", "1", "1"):
            self.update("--cpu-idle", idle)
            self.assertEqual(self.value("cpu", "cpu.idle"), idle)
        for bad in ("-1", "2"):
            self.refuse("failed to write", "--cpu-idle", bad)
            self.assertEqual(self.value("cpu", "cpu.idle"), "1")
        self.update("--cpu-period", "90000")
        self.assertEqual(self.value("cpu", "cpu.idle"), "1")
        self.update("--cpu-idle", "0")
        self.assertEqual(self.value("cpu", "cpu.shares"), "100")  # what the kernel had forgotten
        self.update("--cpu-burst", "20000")
        self.assertEqual(self.value("cpu", "cpu.cfs_burst_us"), "20000")
        self.update("--cpu-burst", "0")
        self.assertEqual(self.value("cpu", "cpu.cfs_burst_us"), "0")

    def test_what_the_kernel_refuses_is_told_and_undone(self):
        self.resources["pids"] = {"limit": 20}
        self.resources["memory"] = {"limit": 64 * MIB}
        self.start()
        before = self.all_values()
        self.refuse("the minimum allowed cpu-shares is 2", "--cpu-share", "1")
        self.refuse("failed to write \"77\": write /sys/fs/cgroup/cpuset/", "--cpuset-cpus", "77", "--pids-limit", "9")
        self.refuse("unable to set memory limit to 1024 (current usage: ", "--cpu-share", "300", "--memory", "1024")
        self.refuse("failed to write", "--pids-limit", "9", "--blkio-weight", "700", "--cpu-idle", "7")
        self.assertEqual(self.all_values(), before)
        self.assertEqual(self.saved()["resources"]["pids"], {"limit": 20})

    def test_state_keeps_the_sum(self):
        self.resources["memory"] = {"limit": 64 * MIB}
        self.start()
        self.update("--pids-limit", "9")
        self.update_json({"memory": {"swap": 128 * MIB}, "cpu": {"cpus": "0"}})
        saved = self.saved()["resources"]
        self.assertEqual(saved["memory"], {"limit": 64 * MIB, "swap": 128 * MIB})
        self.assertEqual((saved["pids"], saved["cpu"]), ({"limit": 9}, {"cpus": "0"}))
        self.assertNotIn("devices", saved)

    def test_pids_limit_of_nought(self):
        """It is no freedom to fork, also when it comes by an update."""
        self.start()
        self.update("--pids-limit", "0")
        self.assertEqual(self.value("pids", "pids.max"), "1")
        self.update_json({"pids": {"limit": 0}})
        self.assertEqual(self.value("pids", "pids.max"), "1")

    def test_unified_is_v2s(self):
        self.resources["unified"] = {"memory.high": "1"}
        self.fails("invalid configuration: cannot use unified on cgroup v1")

    def test_controllers_that_nobody_mounted(self):
        self.resources["network"] = {"classID": 1048577}
        if not (ROOT / "net_cls").exists():
            self.fails("cannot set net_cls limit: container could not join or create cgroup")
        self.resources["network"] = {}
        self.resources["rdma"] = {"mlx5_1": {"hcaHandles": 3}}
        if not (ROOT / "rdma").exists():
            self.fails("cannot set rdma limit: container could not join or create cgroup")

    def test_update_of_a_paused_container(self):
        self.start()
        self.runc("pause", self.id)
        self.update("--pids-limit", "30")
        self.assertEqual(self.status(), "paused")
        self.assertEqual(self.value("pids", "pids.max"), "30")
        self.runc("resume", self.id)

    def test_update_of_a_unit_is_systemds(self):
        """Files that systemd has not heard of are its to set back: with no bus there is no update."""
        self.start()
        before = self.value("pids", "pids.max")
        path = self.state / self.id / "state.json"
        state = json.loads(path.read_text())
        path.write_text(json.dumps({**state, "systemd_unit": f"{self.id}.scope"}))
        r = self.runc("update", "--pids-limit", "77", self.id,
                      env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.top}/nobody"})
        path.write_text(json.dumps(state))
        self.assertNotEqual(r.returncode, 0)
        self.assertEqual(self.value("pids", "pids.max"), before)

    def test_devices_survive_updates(self):
        """What another program did to the list is not undone."""
        self.start()
        (self.folder("devices") / "devices.allow").write_text("c 10:229 rwm")
        self.update_json({"pids": {"limit": 5}, "devices": [{"allow": False, "access": "rwm"}]})
        self.assertIn("c 10:229 rwm", self.value("devices", "devices.list"))

    def test_stats_have_debians_fields(self):
        self.resources["memory"] = {"limit": 64 * MIB}
        self.resources["cpu"] = {"quota": 50000}
        shapes = []
        for runtime in (DEBIAN_RUNC, None):
            self.runtime = runtime
            self.start()
            data = self.stats()
            for noisy in ("psi",):
                data["cpu"].pop(noisy, None)
            shapes.append(shape(data))
            limit = data["memory"]["usage"]["limit"]
            self.runc("delete", "-f", self.id)
        self.assertEqual(*shapes)
        self.assertEqual(limit, 64 * MIB)

    def test_out_of_memory_is_an_event(self):
        self.resources["memory"] = {"limit": 32 * MIB, "swap": 32 * MIB}
        self.start("sh", "-c", "sleep 1.5; x=0123456789abcdef; while :; do x=$x$x; done")
        with self.events() as lines:
            wait_for("the event", lambda: {"type": "oom", "id": self.id} in lines(), 20)
            self.runc("delete", "-f", self.id)


# Fields that Go leaves out when they are 0 come and go.
OPTIONAL = {"total", "usage", "max", "cache", "periods", "throttledPeriods", "throttledTime", "ioServiceBytesRecursive",
            "ioServicedRecursive"}


def shape(value):
    """The names and their order, without numbers."""
    if isinstance(value, dict):
        return [(k, shape(v)) for k, v in value.items() if k not in OPTIONAL or isinstance(v, dict)]
    return type(value).__name__


@unittest.skipIf(IS_V2, "this machine has only cgroup2 anyway")
class InTheV2View(Common, Limits):
    wrap = V2_VIEW

    def test_freeze_and_kill(self):
        self.start("sh", "-c", "sleep 60 & sleep 60")
        self.runc("pause", self.id)
        self.assertEqual(self.status(), "paused")
        self.assertEqual(self.value("", "cgroup.freeze"), "1")
        r = self.runc("kill", "-a", self.id, "KILL")
        self.assertEqual(r.returncode, 0, r.stderr)
        wait_for("the end of all", lambda: "populated 0" in self.value("", "cgroup.events"))

    def test_hugetlb_and_unified(self):
        if "hugetlb" not in (ROOT / "unified/cgroup.controllers").read_text():
            self.skipTest("the kernel's cgroup2 has no hugetlb here")
        self.resources["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4 * MIB}]
        self.resources["unified"] = {"hugetlb.1GB.max": "0", "cgroup.max.depth": "3"}
        self.start()
        self.assertEqual(self.value("", "hugetlb.2MB.max"), str(4 * MIB))
        self.assertEqual(self.value("", "hugetlb.2MB.rsvd.max"), str(4 * MIB))
        self.assertEqual(self.value("", "hugetlb.1GB.max"), "0")
        self.assertEqual(self.value("", "cgroup.max.depth"), "3")
        self.update_json({"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}], "unified": {"cgroup.max.depth": "4"}})
        self.assertEqual(self.value("", "hugetlb.2MB.max"), str(2 * MIB))
        self.assertEqual(self.value("", "cgroup.max.depth"), "4")
        self.assertEqual(list(self.stats()["hugetlb"]), ["1GB", "2MB"])

    def test_what_the_kernel_has_not(self):
        self.start()
        for resources, text in [
                ({"unified": {"memory.high": "5"}},
                 "unified resource \"memory.high\" can't be set: controller \"memory\" not available"),
                ({"unified": {"cgroup.nope": "5"}}, "unable to set unified resource \"cgroup.nope\": openat2 /sys/fs/cgroup/"),
                ({"unified": {"hugetlb.2MB.max": "x"}}, "unable to set unified resource \"hugetlb.2MB.max\": failed to write "
                                                        "\"x\": write /sys/fs/cgroup/"),
                ({"unified": {"../x": "5"}}, "unified resource \"../x\" must be a file name (no slashes)"),
                ({"unified": {"x": "5"}}, "unified resource \"x\" must be in the form CONTROLLER.PARAMETER"),
                ({"memory": {"limit": 1 << 30}}, "/memory.max: no such file or directory"),
                ({"memory": {"swap": 5}}, "unable to set swap limit without memory limit"),
                ({"memory": {"limit": 6, "swap": 5}}, "memory+swap limit should be >= memory limit"),
                ({"network": {"classID": 5}}, "linux.resources.network.classID is not supported on cgroup v2"),
                ({"cpu": {"realtimeRuntime": 5}}, "linux.resources.cpu.realtimeRuntime is not supported on cgroup v2"),
        ]:
            with self.subTest(text):
                self.assertIn(text, self.update_json(resources, status=1))

    def test_a_failed_update_is_undone(self):
        self.resources["unified"] = {"cgroup.max.depth": "3"}
        self.start()
        self.update_json({"unified": {"cgroup.max.depth": "5", "cgroup.nope": "1"}}, status=1)
        self.assertEqual(self.value("", "cgroup.max.depth"), "3")
        self.assertEqual(self.saved()["resources"]["unified"], {"cgroup.max.depth": "3"})

    def test_pressure(self):
        if not (ROOT / "unified/cpu.pressure").exists():
            self.skipTest("the kernel keeps no pressure")
        self.start()
        self.assertEqual(list(self.stats()["cpu"]["psi"]["some"]), ["avg10", "avg60", "avg300", "total"])

    def test_processes_are_born_inside(self):
        """No moment in which init is in the caller's cgroup: CLONE_INTO_CGROUP, not a move."""
        if not pathlib.Path("/usr/bin/strace").exists():
            self.skipTest("no strace")
        self.b.config["process"]["args"] = ["true"]
        self.b.write()
        log = self.top / "trace"
        r = subprocess.run([*self.wrap, "strace", "-f", "-o", str(log), "-e", "trace=clone3,openat", program("runc"), "--root",
                            str(self.state), "run", self.id], cwd=self.b.path, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("CLONE_INTO_CGROUP", log.read_text())
        self.assertNotIn("cgroup.procs\", O_WRONLY", log.read_text())


@unittest.skipUnless({"memory", "cpu", "pids"} <= set(CONTROLLERS), "needs cgroup2 with its controllers: tests/vm has it")
class OnV2WithControllers(Common, Limits):
    def setUp(self):
        super().setUp()
        self.resources["memory"] = {"limit": 32 * MIB, "reservation": 24 * MIB}
        self.resources["cpu"] = {"shares": 100, "quota": 500000, "period": 1000000}
        self.resources["pids"] = {"limit": 20}

    def check(self, **files):
        for file, want in files.items():
            file = file.replace("__", ".", 2)
            if (self.folder("") / file).exists() or not file.startswith("memory.swap"):
                self.assertEqual(self.value("", file), str(want), file)

    def test_limits_and_updates(self):
        self.start()
        self.check(memory__max=32 * MIB, memory__low=24 * MIB, cpu__max="500000 1000000", cpu__weight=17, pids__max=20)
        self.update("--memory", "50M")
        self.check(memory__max=50 * MIB)
        self.update("--memory", "50M", "--memory-swap", "92M")
        self.check(memory__max=50 * MIB, memory__swap__max=42 * MIB)
        self.update("--memory-swap", "60M")
        self.check(memory__swap__max=10 * MIB)
        self.update("--memory", "-1")
        self.check(memory__max="max", memory__swap__max="max")
        self.update("--cpu-period", "900000")
        self.check(cpu__max="500000 900000")
        self.update("--cpu-quota", "-1")
        self.check(cpu__max="max 900000")
        self.update("--cpu-share", "1024", "--pids-limit", "-1")
        self.check(cpu__weight=100, pids__max="max")
        self.update("--pids-limit", "0")
        self.check(pids__max=1)

    def test_idle(self):
        self.start()
        if not (self.folder("") / "cpu.idle").exists():
            self.skipTest("the kernel has no cpu.idle")
        for idle in (1, 0, 1):
            self.update("--cpu-idle", idle)
            self.check(cpu__idle=idle)
        self.update("--cpu-idle", "0")
        self.check(cpu__weight=17)

    def test_unified(self):
        self.resources["unified"] = {"memory.high": str(20 * MIB), "pids.max": "30"}
        self.start()
        self.check(memory__high=20 * MIB, pids__max=30)
        self.update_json({"unified": {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"}})
        self.check(cpu__max="max 100000", cpu__weight=16, pids__max=10)

    def test_check_before_update(self):
        self.start("sh", "-c", "sleep 60 & sleep 60 & wait")
        self.assertIn("rejecting memory limit 1024 <= usage",
                      self.update_json({"memory": {"limit": 1024, "checkBeforeUpdate": True}}, status=1))
        self.assertIn("rejecting memory+swap limit 2048 <= usage",
                      self.update_json({"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": True}}, status=1))
        self.check(memory__max=32 * MIB)

    def test_io_limits(self):
        if "io" not in CONTROLLERS:
            self.skipTest("the kernel's cgroup2 has no io")
        major, minor = a_disk()
        disk = {"major": major, "minor": minor}
        self.resources["blockIO"] = {"throttleReadBpsDevice": [{**disk, "rate": 485760}],
                                     "throttleWriteIOPSDevice": [{**disk, "rate": 100}]}
        self.start()
        self.check(io__max=f"{major}:{minor} rbps=485760 wbps=max riops=max wiops=100")
        self.update_json({"blockIO": {"throttleReadBpsDevice": [{**disk, "rate": 0}]}})
        self.check(io__max=f"{major}:{minor} rbps=max wbps=max riops=max wiops=100")

    def test_stats(self):
        self.start()
        data = self.stats()
        self.assertEqual(data["memory"]["usage"]["limit"], 32 * MIB)
        self.assertEqual(data["pids"], {"current": 1, "limit": 20})
        self.assertIn("anon", data["memory"]["raw"])

    def test_out_of_memory_is_an_event(self):
        self.resources["memory"]["swap"] = 32 * MIB
        self.start("sh", "-c", "sleep 2; x=0123456789abcdef; while :; do x=$x$x; done")
        with self.events() as lines:
            wait_for("the event", lambda: {"type": "oom", "id": self.id} in lines(), 60)
            self.runc("delete", "-f", self.id)


if __name__ == "__main__":
    unittest.main()
