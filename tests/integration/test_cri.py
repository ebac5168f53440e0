"""Kubernetes' container runtime interface: what kubelet asks of a node, over the daemon's own socket."""
import json
import os
import pathlib
import signal
import subprocess
import time

import cri
import rpc
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, run, wait_for

RUNNING, EXITED = "CONTAINER_RUNNING", "CONTAINER_EXITED"


class CriTest(DaemonTest):
    images = False
    config_start = more_config = ""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        # no network configuration: the built-in bridge
        cls.daemon = Daemon(cls.scratch.path, config=cls.config_start + CONFIG + f"\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n  conf_dir = '{cls.scratch.path}/net.d'\n" + cls.more_config)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.k8s("images", "import", SHARE / "busybox.tar")
        cls.cri = cri.Cri(cls.daemon.address)
        cls.addClassCleanup(cls.cri.close)
        cls.logs = cls.scratch.path / "logs"
        cls.logs.mkdir()
        cls.attempt = 0

    @classmethod
    def k8s(cls, *args, **kw):
        return cls.ctr("-n", "k8s.io", *args, **kw)

    def tearDown(self):
        for p in self.cri("ListPodSandbox")["items"]:
            self.cri("StopPodSandbox", {"pod_sandbox_id": p["id"]})
            self.cri("RemovePodSandbox", {"pod_sandbox_id": p["id"]})
        self.assertEqual(self.cri("ListContainers")["containers"], [])
        self.assertEqual(self.k8s("containers", "list", "-q").stdout, "")
        self.assertEqual(self.k8s("snapshots", "list").stdout.count("Active"), 0)

    # --- pods and containers in few words ---

    def pod_config(self, name="pod", network="NODE", **more):
        type(self).attempt += 1
        linux = more.pop("linux", {})
        security = linux.setdefault("security_context", {})
        security.setdefault("namespace_options", {"network": network, "pid": "CONTAINER"})
        return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "attempt": self.attempt},
                "log_directory": str(self.logs / name), "linux": linux, **more}

    def pod(self, *args, **more):
        config = self.pod_config(*args, **more)
        pod = self.cri("RunPodSandbox", {"config": config})["pod_sandbox_id"]
        return pod, config

    def container(self, pod, *command, name="box", start=True, **more):
        pod_id, pod_config = pod
        type(self).attempt += 1
        config = {"metadata": {"name": name, "attempt": self.attempt}, "image": {"image": "docker.io/library/busybox:latest"}, "command": list(command),
                  "log_path": f"{name}/{self.attempt}.log", **more}
        box = self.cri("CreateContainer", {"pod_sandbox_id": pod_id, "config": config, "sandbox_config": pod_config})["container_id"]
        if start:
            self.cri("StartContainer", {"container_id": box})
        return box

    def status(self, box):
        return self.cri("ContainerStatus", {"container_id": box})["status"]

    def wait_for_end(self, box):
        wait_for("a container's end", lambda: self.status(box)["state"] == EXITED)
        return self.status(box)

    def exec(self, box, *cmd, timeout=0):
        r = self.cri("ExecSync", {"container_id": box, "cmd": list(cmd), "timeout": timeout})
        return r["exit_code"], cri.text(r["stdout"]), cri.text(r["stderr"])

    def out(self, box, *cmd):
        code, out, err = self.exec(box, *cmd)
        self.assertEqual((code, err), (0, ""), out)
        return out

    def log(self, box):
        return pathlib.Path(self.status(box)["log_path"]).read_text()


class Runtime(CriTest):
    def test_version(self):
        v = self.cri("Version")
        self.assertEqual((v["version"], v["runtime_name"], v["runtime_api_version"]), ("0.1.0", "containerd", "v1"))
        self.assertRegex(v["runtime_version"], r"^2\.")

    def test_status(self):
        s = self.cri("Status")
        conditions = {c["type"]: c["status"] for c in s["status"]["conditions"]}
        self.assertEqual(conditions, {"RuntimeReady": True, "NetworkReady": True, "ContainerdHasNoDeprecationWarnings": True})
        self.assertIn({"name": "runc", "features": {"recursive_read_only_mounts": True, "user_namespaces": True}}, s["runtime_handlers"])
        self.assertIn("", [h["name"] for h in s["runtime_handlers"]])
        self.assertTrue(s["features"]["supplemental_groups_policy"])

    def test_config(self):
        self.assertEqual(self.cri("RuntimeConfig")["linux"]["cgroup_driver"], "CGROUPFS")
        self.cri("UpdateRuntimeConfig", {"runtime_config": {"network_config": {"pod_cidr": "10.1.0.0/24"}}})


class Pods(CriTest):
    def test_life_of_a_pod(self):
        steering = {"containerd.io/restart.status": "stopped", "containerd.io/gc.root": "x", "io.cri-containerd.kind": "container"}
        labels = {"app": "x", "tier": "y", **steering}
        pod, config = self.pod("one", labels=labels, annotations={"note": "z"})
        s = self.cri("PodSandboxStatus", {"pod_sandbox_id": pod, "verbose": True})
        self.assertEqual((s["status"]["state"], s["status"]["metadata"], s["status"]["labels"], s["status"]["annotations"]),
                         ("SANDBOX_READY", config["metadata"], labels, {"note": "z"}))
        info = json.loads(s["info"]["info"])
        self.assertEqual(info["config"]["labels"], labels)
        self.assertEqual(info["runtimeSpec"]["annotations"]["io.kubernetes.cri.container-type"], "sandbox")
        # the original's labels, for whoever looks with ctr; those that steer the daemon are not a tenant's to give
        c = json.loads(self.k8s("containers", "info", pod).stdout)
        self.assertEqual((c["Labels"]["io.cri-containerd.kind"], c["Labels"]["app"]), ("sandbox", "x"))
        self.assertEqual([k for k in c["Labels"] if k.startswith("containerd.io/")], [])
        self.assertIn("io.cri-containerd.sandbox.metadata", c["Extensions"])
        self.assertIn("RUNNING", self.k8s("tasks", "list").stdout)

        def listed(**filter):
            return [p["id"] for p in self.cri("ListPodSandbox", {"filter": filter})["items"]]
        self.assertEqual(listed(id=pod[:9]), [pod])
        self.assertEqual(listed(label_selector={"app": "x"}), [pod])
        self.assertEqual(listed(label_selector={"app": "q"}), [])
        self.assertEqual(listed(state={"state": "SANDBOX_NOTREADY"}), [])
        for _ in range(2):
            self.cri("StopPodSandbox", {"pod_sandbox_id": pod})
            self.assertEqual(listed(state={"state": "SANDBOX_NOTREADY"}), [pod])
        for _ in range(2):
            self.cri("RemovePodSandbox", {"pod_sandbox_id": pod})
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("PodSandboxStatus", {"pod_sandbox_id": pod})
        self.assertEqual(e.exception.code, "NOT_FOUND")

    def test_names_are_reserved(self):
        pod, config = self.pod("same")
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("RunPodSandbox", {"config": config})
        self.assertRegex(e.exception.text, f'name "same_default_uid-same_[0-9]+" is reserved for "{pod}"')
        self.assertEqual([p["id"] for p in self.cri("ListPodSandbox")["items"]], [pod])

    def test_life_of_a_container(self):
        pod = self.pod("two")
        box = self.container(pod, "sh", "-c", "echo out; echo err >&2; trap 'exit 7' TERM; while :; do sleep 0.1; done", start=False, labels={"c": "d"})
        self.assertEqual(self.status(box)["state"], "CONTAINER_CREATED")
        self.cri("StartContainer", {"container_id": box})
        s = self.status(box)
        self.assertEqual((s["state"], s["labels"], s["user"]["linux"]["uid"]), (RUNNING, {"c": "d"}, "0"))
        self.assertRegex(s["image_id"], "^sha256:")
        self.assertRegex(s["image_ref"], "^docker.io/library/busybox@sha256:")
        wait_for("the log", lambda: "err" in self.log(box))
        lines = [line.split(" ") for line in self.log(box).splitlines()]
        self.assertEqual(sorted(line[1:] for line in lines), [["stderr", "F", "err"], ["stdout", "F", "out"]])
        self.assertEqual([c["id"] for c in self.cri("ListContainers", {"filter": {"pod_sandbox_id": pod[0], "state": {"state": RUNNING}}})["containers"]], [box])
        self.cri("StopContainer", {"container_id": box, "timeout": 10})
        s = self.status(box)
        self.assertEqual((s["state"], s["exit_code"], s["reason"]), (EXITED, 7, "Error"))
        self.assertLessEqual(int(s["created_at"]), int(s["started_at"]))
        self.assertLessEqual(int(s["started_at"]), int(s["finished_at"]))
        for call in ("StopContainer", "RemoveContainer", "RemoveContainer", "StopContainer"):
            self.cri(call, {"container_id": box})
        with self.assertRaises(rpc.RpcError) as e:
            self.status(box)
        self.assertEqual(e.exception.code, "NOT_FOUND")
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("StartContainer", {"container_id": box})
        self.assertEqual(e.exception.code, "NOT_FOUND")

    def test_exec(self):
        box = self.container(self.pod("three"), "sleep", "300")
        self.assertEqual(self.exec(box, "sh", "-c", "echo a; echo b >&2; exit 3"), (3, "a\n", "b\n"))
        with self.assertRaises(rpc.RpcError) as e:
            self.exec(box, "sleep", "100", timeout=1)
        self.assertEqual(e.exception.code, "DEADLINE_EXCEEDED")
        with self.assertRaises(rpc.RpcError):
            self.exec(box, "/no/such/program")
        # what is too much is cut, and holds up nobody
        code, out, _ = self.exec(box, "sh", "-c", "head -c 40000000 /dev/zero | tr '\\0' x")
        self.assertEqual(code, 0)
        self.assertEqual(len(out), (16 << 20) - 4096)
        self.assertEqual(self.out(box, "ps", "-o", "args").count("sleep 100"), 0)

    def test_log_rotation(self):
        box = self.container(self.pod("rotated"), "sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done")
        path = pathlib.Path(self.status(box)["log_path"])
        wait_for("the log", lambda: path.exists() and "line 2" in path.read_text())
        path.rename(f"{path}.1")
        self.cri("ReopenContainerLog", {"container_id": box})
        self.assertTrue(path.exists())
        wait_for("lines in the new file", lambda: path.read_text().count("\n") > 2)
        both = pathlib.Path(f"{path}.1").read_text() + path.read_text()
        numbers = [int(line.split()[-1]) for line in both.splitlines()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))  # none lost, none twice
        self.cri("StopContainer", {"container_id": box})
        with self.assertRaises(rpc.RpcError):
            self.cri("ReopenContainerLog", {"container_id": box})

    def test_events(self):
        events = self.cri.begin("GetContainerEvents")
        time.sleep(0.3)  # its headers say nothing that the client shows
        pod = self.pod("told")
        box = self.container(pod, "true")
        self.wait_for_end(box)
        self.cri("RemovePodSandbox", {"pod_sandbox_id": pod[0]})
        seen = []
        while len(seen) < 8:
            e = events.get(timeout=10)["answer"]
            seen.append((e["container_id"], e["container_event_type"].removeprefix("CONTAINER_").removesuffix("_EVENT")))
            self.assertEqual(e["pod_sandbox_status"]["id"], pod[0])
        of = {i: [kind for who, kind in seen if who == i] for i in (pod[0], box)}
        self.assertEqual(of, {pod[0]: ["CREATED", "STARTED", "STOPPED", "DELETED"], box: ["CREATED", "STARTED", "STOPPED", "DELETED"]})

    def test_what_is_used(self):
        pod = self.pod("used")
        box = self.container(pod, "sh", "-c", "dd if=/dev/zero of=/file bs=1k count=100 2>/dev/null; while :; do :; done")
        self.container(pod, "true", name="other")
        s = self.cri("ContainerStats", {"container_id": box})["stats"]
        self.assertEqual(s["attributes"]["id"], box)
        wait_for("the file", lambda: int(self.cri("ContainerStats", {"container_id": box})["stats"]["writable_layer"]["used_bytes"]["value"]) >= 100 << 10)
        s = self.cri("ContainerStats", {"container_id": box})["stats"]
        self.assertGreater(int(s["cpu"]["usage_nano_cores"]["value"]), 0)
        self.assertGreater(int(s["memory"]["working_set_bytes"]["value"]), 0)
        self.assertEqual([x["attributes"]["id"] for x in self.cri("ListContainerStats", {"filter": {"pod_sandbox_id": pod[0]}})["stats"]], [box])
        p = self.cri("PodSandboxStats", {"pod_sandbox_id": pod[0]})["stats"]["linux"]
        self.assertGreaterEqual(int(p["process"]["process_count"]["value"]), 2)
        self.assertGreater(int(p["memory"]["usage_bytes"]["value"]), int(s["memory"]["usage_bytes"]["value"]) // 2)
        self.assertEqual([x["attributes"]["id"] for x in self.cri("ListPodSandboxStats")["stats"]], [pod[0]])

    def test_limits_change(self):
        pod = self.pod("limited")
        box = self.container(pod, "sleep", "300", linux={"resources": {"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512, "oom_score_adj": 500}})
        self.assertEqual(self.out(box, "cat", "/proc/1/oom_score_adj"), "500\n")
        pid = json.loads(self.cri("ContainerStatus", {"container_id": box, "verbose": True})["info"]["info"])["pid"]

        def limit():
            for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                _, kind, path = line.split(":", 2)
                if kind == "memory":
                    return int((pathlib.Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.limit_in_bytes").read_text())
            return int(next(pathlib.Path("/sys/fs/cgroup").glob(f"**/{box}/memory.max")).read_text())
        self.assertEqual(limit(), 64 << 20)
        self.cri("UpdateContainerResources", {"container_id": box, "linux": {"memory_limit_in_bytes": 96 << 20}})
        self.assertEqual(limit(), 96 << 20)
        self.assertEqual({k: v for k, v in self.status(box)["resources"]["linux"].items() if v not in ("0", "", [], {})},
                         {"memory_limit_in_bytes": str(96 << 20), "cpu_shares": "512", "oom_score_adj": "500"})
        hog = self.container(pod, "sh", "-c", "head -c 200000000 /dev/zero | tail", linux={"resources": {"memory_limit_in_bytes": 16 << 20}})
        s = self.wait_for_end(hog)
        self.assertEqual((s["exit_code"], s["reason"]), (137, "OOMKilled"))

    def test_start_that_fails(self):
        box = self.container(self.pod("failing"), "/no/such/program", start=False)
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("StartContainer", {"container_id": box})
        self.assertIn("/no/such/program", e.exception.text)
        s = self.status(box)
        self.assertEqual((s["state"], s["exit_code"], s["reason"]), (EXITED, 128, "StartError"))
        self.assertIn("/no/such/program", s["message"])
        with self.assertRaises(rpc.RpcError) as e:
            self.container(self.pod("other"), "true", start=False, image={"image": "no/such:image"})
        self.assertEqual(e.exception.code, "NOT_FOUND")

    def test_the_next_daemon_knows_all(self):
        pod = self.pod("kept", network="POD")
        status = self.cri("PodSandboxStatus", {"pod_sandbox_id": pod[0]})["status"]
        running = self.container(pod, "sh", "-c", "while :; do echo x; sleep 0.2; done", name="running", annotations={"a": "b"})
        ended = self.container(pod, "sh", "-c", "exit 5", name="ended")
        created = self.container(pod, "sleep", "1", name="created", start=False)
        dies = self.container(pod, "sleep", "300", name="dies")
        self.wait_for_end(ended)
        pids = {b: json.loads(self.cri("ContainerStatus", {"container_id": b, "verbose": True})["info"]["info"])["pid"] for b in (running, dies)}
        before = {b: self.status(b) for b in (running, ended, created)}
        spec = json.loads(self.cri("ContainerStatus", {"container_id": running, "verbose": True})["info"]["info"])["runtimeSpec"]
        [network] = [n["path"] for n in spec["linux"]["namespaces"] if n["type"] == "network"]
        self.assertFalse(network.startswith("/proc/"), network)  # whose pid may be anybody's by now
        self.cri.close()
        self.daemon.kill()
        os.kill(pids[dies], 9)
        self.daemon.start()
        type(self).cri = cri.Cri(self.daemon.address)
        self.addClassCleanup(self.cri.close)
        self.assertEqual({b: self.status(b) for b in before}, before)
        self.assertEqual(self.cri("PodSandboxStatus", {"pod_sandbox_id": pod[0]})["status"], status)
        s = self.wait_for_end(dies)
        self.assertEqual(s["exit_code"], 137)
        self.cri.close()
        self.daemon.stop()
        self.assertEqual(self.daemon.process.returncode, 0)
        self.daemon.start()
        type(self).cri = cri.Cri(self.daemon.address)
        self.addClassCleanup(self.cri.close)
        self.assertEqual({b: self.status(b) for b in before}, before)
        self.assertEqual(self.status(dies)["exit_code"], 137)
        self.cri("StartContainer", {"container_id": created})
        self.assertEqual(self.wait_for_end(created)["exit_code"], 0)
        self.assertEqual(self.exec(running, "echo", "y"), (0, "y\n", ""))
        n = len(self.log(running))
        wait_for("more of the log", lambda: len(self.log(running)) > n)
        self.cri("StopContainer", {"container_id": running, "timeout": 0})
        self.assertEqual(self.status(running)["exit_code"], 137)


class Troubles(CriTest):
    """Slow shims, slow containers, many calls at once."""
    more_config = ("\n[plugins.'io.containerd.cri.v1.runtime']\n  drain_exec_sync_io_timeout = '1s'\n"
                   "[timeouts]\n  'io.containerd.timeout.shim.load' = '1s'\n  'io.containerd.timeout.task.state' = '1s'\n")
    deaf = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")

    def answers(self, queues):
        return [q.get(timeout=60) for q in queues]

    def test_a_restart_beside_a_shim_that_does_not_answer_and_a_paused_pod(self):
        pods = [self.pod(f"slow{i}", linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "CONTAINER"}}}) for i in range(2)]
        boxes = [self.container(p, "sleep", "300") for p in pods]
        pids = {b: json.loads(self.cri("ContainerStatus", {"container_id": b, "verbose": True})["info"]["info"])["pid"] for b in boxes}
        shim = int(pathlib.Path(f"/proc/{pids[boxes[0]]}/stat").read_text().rsplit(")", 1)[1].split()[1])
        self.k8s("tasks", "pause", pods[1][0])
        leaving = self.cri.begin("StopContainer", {"container_id": self.container(pods[1], *self.deaf, name="deaf"), "timeout": 3600})
        time.sleep(0.5)
        os.kill(shim, signal.SIGSTOP)
        try:
            self.daemon.stop()  # nobody's grace period holds it up
            self.assertIn("code", leaving.get(timeout=10))
            self.cri.close()
            self.daemon.start()
            type(self).cri = cri.Cri(self.daemon.address)
            self.addClassCleanup(self.cri.close)
            self.assertEqual({p["id"]: p["state"] for p in self.cri("ListPodSandbox")["items"]}, {p[0]: "SANDBOX_READY" for p in pods})
        finally:
            os.kill(shim, signal.SIGCONT)
        self.k8s("tasks", "resume", pods[1][0])
        for pod, box in zip(pods, boxes):
            self.assertEqual(self.status(box)["state"], RUNNING)
            self.assertEqual(self.out(box, "echo", "x"), "x\n")
            self.assertEqual(self.out(self.container(pod, "sleep", "300", name="new"), "echo", "y"), "y\n")
            os.kill(pids[box], signal.SIGKILL)
            self.assertEqual(self.wait_for_end(box)["exit_code"], 137)  # it is watched
        self.cri("StopPodSandbox", {"pod_sandbox_id": pods[0][0]})
        self.assertEqual(self.cri("PodSandboxStatus", {"pod_sandbox_id": pods[0][0]})["status"]["state"], "SANDBOX_NOTREADY")

    def test_more_stops_than_threads(self):
        pod = self.pod("deaf")
        box = self.container(pod, *self.deaf)
        polite = self.container(pod, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done", name="polite")
        stops = [self.cri.begin("StopContainer", {"container_id": box, "timeout": 3600}) for _ in range(300)]
        gone = self.cri.begin("StopContainer", {"container_id": box, "timeout": 3600}, timeout=1)
        self.assertEqual(gone.get(timeout=10)["code"], "DEADLINE_EXCEEDED")
        self.assertEqual(self.status(box)["state"], RUNNING)
        self.cri("StopContainer", {"container_id": polite, "timeout": 1 << 40})  # is not none
        self.assertEqual(self.status(polite)["exit_code"], 7)
        self.cri("StopContainer", {"container_id": box, "timeout": 1})
        self.assertEqual(self.status(box)["exit_code"], 137)
        self.assertEqual([a for a in self.answers(stops) if "answer" not in a], [])

    def test_more_execs_than_threads(self):
        box = self.container(self.pod("probed"), "sleep", "300")
        start = time.monotonic()
        self.assertEqual(self.exec(box, "sh", "-c", "sleep 300 & echo x"), (0, "x\n", ""))  # its pipes are still held
        self.assertLess(time.monotonic() - start, 10)
        execs = [self.cri.begin("ExecSync", {"container_id": box, "cmd": ["sleep", "300"]}) for _ in range(100)]
        refused = wait_for("refusals", lambda: [q for q in execs if q.qsize()])
        self.assertEqual({a["code"] for a in self.answers(refused)}, {"RESOURCE_EXHAUSTED"})
        self.cri("StopContainer", {"container_id": box, "timeout": 0})
        self.answers([q for q in execs if q not in refused])
        self.assertEqual(self.out(self.container(self.pod("after"), "sleep", "300"), "echo", "x"), "x\n")

    def test_containers_made_while_their_pod_goes(self):
        for i in range(6):
            pod_id, config = self.pod(f"gone{i}")
            made = [self.cri.begin("CreateContainer", {"pod_sandbox_id": pod_id, "sandbox_config": config, "config": {
                "metadata": {"name": f"box{n}"}, "image": {"image": "docker.io/library/busybox:latest"}, "command": ["true"]}}) for n in range(12)]
            time.sleep(0.01 * i)
            self.cri("RemovePodSandbox", {"pod_sandbox_id": pod_id})
            self.answers(made)
            self.assertEqual(self.k8s("containers", "list", "-q").stdout, "")


class Isolation(CriTest):
    """Each field of the Linux configuration, as a process in the container sees it."""

    def namespaces(self, box):
        return dict(line.split() for line in self.out(box, "sh", "-c", "for n in net uts ipc pid mnt user; do echo $n $(readlink /proc/self/ns/$n); done").splitlines())

    def host(self):
        return {n: os.readlink(f"/proc/self/ns/{n}") for n in ("net", "uts", "ipc", "pid", "mnt", "user")}

    def differing(self, a, b):
        return {n for n in a if a[n] != b[n]}

    def test_shared_namespaces(self):
        pod = self.pod("shared", network="POD", hostname="podname")
        a, b = (self.container(pod, "sleep", "300", name=n) for n in "ab")
        self.assertEqual(self.differing(self.namespaces(a), self.namespaces(b)), {"pid", "mnt"})
        self.assertEqual(self.differing(self.namespaces(a), self.host()), {"net", "uts", "ipc", "pid", "mnt"})
        self.assertEqual(self.out(a, "hostname"), "podname\n")
        self.assertEqual(self.out(a, "cat", "/etc/hostname"), "podname\n")
        self.assertIn("HOSTNAME=podname", self.out(a, "env"))
        self.out(a, "sh", "-c", "echo shared > /dev/shm/file")
        self.assertEqual(self.out(b, "cat", "/dev/shm/file"), "shared\n")
        status = self.cri("PodSandboxStatus", {"pod_sandbox_id": pod[0]})["status"]
        self.assertIn(status["network"]["ip"], self.out(a, "ip", "-4", "addr", "show", "eth0"))

    def test_host_namespaces(self):
        pod = self.pod("host", linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "NODE", "ipc": "NODE"}}})
        box = self.container(pod, "sleep", "300", linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "NODE", "ipc": "NODE"}}})
        self.assertEqual(self.differing(self.namespaces(box), self.host()), {"mnt"})
        self.assertEqual(self.out(box, "hostname").strip(), os.uname().nodename)

    def test_processes_of_the_pod_and_of_a_target(self):
        options = {"security_context": {"namespace_options": {"network": "NODE", "pid": "POD"}}}
        pod = self.pod("processes", linux=dict(options))
        a = self.container(pod, "sleep", "301", name="a", linux=options)
        b = self.container(pod, "sleep", "302", name="b", linux=options)
        self.assertIn("sleep 301", self.out(b, "ps", "-o", "args"))
        self.assertIn("/pause", self.out(b, "ps", "-o", "args"))
        own = self.container(pod, "sleep", "303", name="c", linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "CONTAINER"}}})
        self.assertNotIn("sleep 301", self.out(own, "ps", "-o", "args"))
        debug = self.container(pod, "sleep", "304", name="d",
                               linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "TARGET", "target_id": own}}})
        self.assertIn("sleep 303", self.out(debug, "ps", "-o", "args"))
        self.assertNotIn("sleep 301", self.out(debug, "ps", "-o", "args"))
        late = self.container(pod, "true", name="late", start=False,
                              linux={"security_context": {"namespace_options": {"network": "NODE", "pid": "TARGET", "target_id": own}}})
        self.cri("StopContainer", {"container_id": own, "timeout": 0})
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("StartContainer", {"container_id": late})
        self.assertEqual(self.status(late)["reason"], "StartError")
        self.cri("StopContainer", {"container_id": a, "timeout": 0})

    def test_dns_and_sysctls(self):
        pod = self.pod("dns", network="POD", dns_config={"servers": ["10.9.8.7", "fd00::1"], "searches": ["a.b", "c.d"], "options": ["ndots:5"]},
                       linux={"sysctls": {"net.ipv4.ip_local_port_range": "2000 3000", "kernel.shm_rmid_forced": "1"},
                              "security_context": {"namespace_options": {"pid": "CONTAINER"}}})
        box = self.container(pod, "sleep", "300")
        self.assertEqual(self.out(box, "cat", "/etc/resolv.conf"), "search a.b c.d\nnameserver 10.9.8.7\nnameserver fd00::1\noptions ndots:5\n")
        self.assertEqual(self.out(box, "cat", "/proc/sys/net/ipv4/ip_local_port_range").split(), ["2000", "3000"])
        self.assertEqual(self.out(box, "cat", "/proc/sys/kernel/shm_rmid_forced"), "1\n")
        self.assertEqual(self.out(box, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "0\n")
        self.assertEqual(self.out(box, "cat", "/proc/sys/net/ipv4/ping_group_range").split(), ["0", "2147483647"])

    def test_ports(self):
        pod = self.pod("ports", network="POD", port_mappings=[{"host_port": 18080, "container_port": 80, "protocol": "TCP"}])
        self.container(pod, "sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www")
        ip = self.cri("PodSandboxStatus", {"pod_sandbox_id": pod[0]})["status"]["network"]["ip"]

        def fetch(url):
            return subprocess.run(["curl", "-s", "-m", "5", "--noproxy", "*", url], capture_output=True, text=True, check=False).stdout
        wait_for("the server", lambda: fetch(f"http://{ip}/") == "hello\n")
        gateway = run(["ip", "-4", "-o", "addr", "show", "casco0"]).stdout.split()[3].split("/")[0]
        self.assertEqual(fetch(f"http://{gateway}:18080/"), "hello\n")
        client = self.container(self.pod("client", network="POD"), "sleep", "300")
        self.assertEqual(self.out(client, "wget", "-q", "-O", "-", f"http://{ip}/"), "hello\n")

    def test_users(self):
        pod = self.pod("users")

        def ids(**security):
            box = self.container(pod, "sleep", "300", linux={"security_context": security})
            return self.out(box, "sh", "-c", "echo $(id -u) $(id -g) $(id -G)").split(), self.status(box)["user"]["linux"]
        self.assertEqual(ids(run_as_user={"value": 1000}, run_as_group={"value": 2000}, supplemental_groups=[3000, 4000]),
                         (["1000", "2000", "2000", "3000", "4000"], {"uid": "1000", "gid": "2000", "supplemental_groups": ["2000", "3000", "4000"]}))
        self.assertEqual(ids(run_as_username="root")[0][:2], ["0", "0"])
        self.assertEqual(ids(run_as_user={"value": 7}, supplemental_groups_policy="Strict")[0], ["7", "0", "0"])
        for wrong in ({"run_as_group": {"value": 1}}, {"run_as_user": {"value": -1}}, {"run_as_user": {"value": 1 << 40}}, {"run_as_username": "nobody-here"}):
            with self.assertRaises(rpc.RpcError, msg=wrong):
                ids(**wrong)

    def test_capabilities_and_privilege(self):
        pod = self.pod("capable")

        def proc(field, **security):
            box = self.container(pod, "sleep", "300", linux={"security_context": security})
            lines = dict(line.split(":\t") for line in self.out(box, "cat", "/proc/1/status").splitlines() if ":\t" in line)
            return lines[field], box
        default = int(proc("CapEff")[0], 16)
        self.assertEqual(int(proc("CapEff", capabilities={"add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["CHOWN"]})[0], 16), default & ~1 | 1 << 12)
        self.assertEqual(int(proc("CapEff", capabilities={"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]})[0], 16), 1 << 10)
        self.assertEqual(int(proc("CapAmb", run_as_user={"value": 5}, capabilities={"add_ambient_capabilities": ["NET_BIND_SERVICE"]})[0], 16), 1 << 10)
        self.assertEqual(proc("NoNewPrivs", no_new_privs=True)[0], "1")
        self.assertEqual(proc("NoNewPrivs")[0], "0")
        self.assertEqual(proc("Seccomp", seccomp={"profile_type": "RuntimeDefault"})[0], "2")
        self.assertEqual(proc("Seccomp", seccomp={"profile_type": "Unconfined"})[0], "0")
        profile = self.scratch.path / "profile.json"
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
        _, box = proc("Seccomp", seccomp={"profile_type": "Localhost", "localhost_ref": str(profile)})
        self.assertIn("not permitted", self.exec(box, "mkdir", "/x")[2])
        eff, box = proc("CapEff", privileged=True)
        self.assertEqual(int(eff, 16), int([line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")][0].split()[1], 16))
        self.assertNotIn(" ro,", self.out(box, "grep", " /sys sysfs", "/proc/mounts"))
        with self.assertRaises(rpc.RpcError):
            proc("CapEff", capabilities={"add_capabilities": ["NO_SUCH"]})

    def test_files(self):
        host = self.scratch.path / "volume"
        (host / "sub").mkdir(parents=True)
        (host / "file").write_text("of the host\n")
        made = self.scratch.path / "made"
        box = self.container(self.pod("files"), "sleep", "300", working_dir="/tmp", envs=[{"key": "K", "value": "dmFsdWU="}],
                             mounts=[{"container_path": "/v/sub/deep", "host_path": str(host / "sub")}, {"container_path": "/v", "host_path": str(host)},
                                     {"container_path": "/ro", "host_path": str(host), "readonly": True}, {"container_path": "/made", "host_path": str(made)},
                                     {"container_path": "/rro", "host_path": str(host), "readonly": True, "recursive_read_only": True}],
                             devices=[{"container_path": "/dev/mynull", "host_path": "/dev/null", "permissions": "rw"}],
                             linux={"security_context": {"readonly_rootfs": True, "masked_paths": ["/etc/passwd"]}})
        self.assertEqual(self.out(box, "cat", "/v/file"), "of the host\n")
        self.assertEqual(self.out(box, "sh", "-c", "pwd; echo $K"), "/tmp\nvalue\n")
        self.out(box, "sh", "-c", "echo x > /v/new; echo y > /made/z; echo z > /dev/mynull")
        self.assertEqual(((host / "new").read_text(), (made / "z").read_text()), ("x\n", "y\n"))
        for path in ("/ro/x", "/rro/x", "/x"):
            self.assertIn("Read-only", self.exec(box, "touch", path)[2])
        self.assertEqual(self.out(box, "cat", "/etc/passwd"), "")
        box = self.container(self.pod("image"), "sleep", "300", mounts=[{"container_path": "/image", "image": {"image": "busybox"}}])
        self.assertEqual(self.out(box, "/image/bin/busybox", "echo", "from the image"), "from the image\n")
        self.assertIn("Read-only", self.exec(box, "touch", "/image/x")[2])
        with self.assertRaises(rpc.RpcError):
            self.container(self.pod("wrong"), "true", mounts=[{"container_path": "/x", "host_path": str(host), "recursive_read_only": True}])

    def test_user_namespace(self):
        mapping = [{"host_id": 100000, "container_id": 0, "length": 65536}]
        options = {"pid": "CONTAINER", "userns_options": {"mode": "POD", "uids": mapping, "gids": mapping}}
        pod = self.pod("mapped", linux={"security_context": {"namespace_options": options}})
        box = self.container(pod, "sleep", "300", linux={"security_context": {"namespace_options": options, "capabilities": {"add_capabilities": ["NET_ADMIN"]}}})
        self.assertEqual(self.out(box, "cat", "/proc/self/uid_map").split(), ["0", "100000", "65536"])
        self.assertEqual(self.out(box, "sh", "-c", "id -u; stat -c %u /bin/busybox; touch /new; stat -c %u /new").split(), ["0", "0", "0"])
        self.out(box, "sh", "-c", "echo x > /dev/shm/x; ip addr add 10.9.9.9/32 dev lo")
        pid = json.loads(self.cri("ContainerStatus", {"container_id": box, "verbose": True})["info"]["info"])["pid"]
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, 100000)


class Hostile(CriTest):
    """What a pod's author, an image or another client of the node could try."""

    def refused(self, call, *args, **more):
        with self.assertRaises(rpc.RpcError) as e:
            call(*args, **more)
        return e.exception.code

    def test_no_words_of_ones_own_in_files_and_arguments(self):
        for field, value in (("name", "x;K8S_POD_UID=other"), ("namespace", "a/../b"), ("uid", "u\nv"), ("name", "")):
            config = self.pod_config("plain")
            config["metadata"][field] = value
            self.assertEqual(self.refused(self.cri, "RunPodSandbox", {"config": config}), "INVALID_ARGUMENT", field)
        for dns in ({"servers": ["1.2.3.4\nnameserver 6.6.6.6"]}, {"options": ["x\ny"]}, {"searches": ["a\rb"]}):
            self.assertEqual(self.refused(self.pod, "dns", dns_config=dns), "INVALID_ARGUMENT")
        self.assertEqual(self.refused(self.pod, "fast", network="POD", annotations={"kubernetes.io/egress-bandwidth": "1Gib"}), "INVALID_ARGUMENT")
        self.assertEqual(self.cri("ListPodSandbox")["items"], [])
        self.assertEqual(os.listdir(self.daemon.state / "io.casco.cri" / "sandboxes"), [])

    def test_a_pods_files_are_no_part_of_the_state(self):
        """STATE is a tmpfs mostly: what a container may write there is the host's memory."""
        pod = self.pod("writer")
        state, root = (d / "io.casco.cri" / "sandboxes" / pod[0] for d in (self.daemon.state, self.daemon.root))
        self.assertEqual((os.listdir(state), sorted(os.listdir(root))), (["shm"], ["hostname", "hosts", "resolv.conf"]))
        self.wait_for_end(self.container(pod, "dd", "if=/dev/zero", "of=/etc/hosts", "bs=1M", "count=2"))
        self.assertEqual((root / "hosts").stat().st_size, 2 << 20)
        self.cri("RemovePodSandbox", {"pod_sandbox_id": pod[0]})
        self.assertEqual((state.exists(), root.exists()), (False, False))

    def test_numbers_out_of_range(self):
        pod = self.pod("numbers")
        for user in (-1, 1 << 32, (1 << 32) - 1, 1 << 31, -(1 << 63)):  # CVE-2024-40635: a wrap to 0
            self.assertEqual(self.refused(self.container, pod, "true", linux={"security_context": {"run_as_user": {"value": str(user)}}}), "INVALID_ARGUMENT", user)
        mapping = [{"host_id": 0, "container_id": 5, "length": 1}]
        for options in ({"uids": mapping, "gids": mapping}, {"uids": [], "gids": []}, {"uids": mapping * 2, "gids": mapping}):
            security = {"namespace_options": {"userns_options": {"mode": "POD", **options}}}
            self.assertEqual(self.refused(self.pod, "mapped", linux={"security_context": security}), "INVALID_ARGUMENT")

    def test_a_log_that_is_a_link(self):
        victim = self.scratch.path / "victim"
        victim.write_text("untouched\n")
        pod = self.pod("linked")
        box = self.container(pod, "sh", "-c", "while :; do echo x; sleep 0.1; done", start=False)
        path = pathlib.Path(self.status(box)["log_path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(victim)
        self.refused(self.cri, "StartContainer", {"container_id": box})
        box = self.container(pod, "sh", "-c", "while :; do echo x; sleep 0.1; done")
        path = pathlib.Path(self.status(box)["log_path"])
        wait_for("the log", path.exists)
        path.unlink()
        path.symlink_to(victim)
        self.refused(self.cri, "ReopenContainerLog", {"container_id": box})
        time.sleep(1.5)
        self.assertEqual(victim.read_text(), "untouched\n")

    def test_an_id_is_no_path_and_no_prefix_of_two(self):
        self.pod("first")
        for wrong in ("", "../x", "zz", "0" * 64, "x" * 5000):
            self.assertEqual(self.refused(self.cri, "PodSandboxStatus", {"pod_sandbox_id": wrong}), "NOT_FOUND")
            self.assertEqual(self.refused(self.cri, "ContainerStatus", {"container_id": wrong}), "NOT_FOUND")
            self.cri("RemovePodSandbox", {"pod_sandbox_id": wrong})
            self.cri("RemoveContainer", {"container_id": wrong})
        self.assertEqual(len(self.cri("ListPodSandbox")["items"]), 1)


class Disabled(CriTest):
    """As in the configuration of Docker's packages."""
    config_start = "disabled_plugins = ['cri']\n"

    def tearDown(self):
        pass

    def test_no_service(self):
        with self.assertRaises(rpc.RpcError) as e:
            self.cri("Version")
        self.assertEqual((e.exception.code, e.exception.text.partition(":")[0]), ("UNIMPLEMENTED", "unknown service runtime.v1.RuntimeService"))
