"""Kubernetes' container runtime interface: what kubelet asks of a node, over the daemon's own socket."""
import json
import os
import pathlib
import subprocess
import time

import cri
import rpc
from casco import SHARE, DaemonTest, run, wait_for

RUNNING, EXITED = "CONTAINER_RUNNING", "CONTAINER_EXITED"


class CriTest(DaemonTest):
    images = False
    ctr_namespace = "k8s.io"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
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
        pod, config = self.pod("one", labels={"app": "x", "tier": "y"}, annotations={"note": "z"})
        s = self.cri("PodSandboxStatus", {"pod_sandbox_id": pod, "verbose": True})
        self.assertEqual((s["status"]["state"], s["status"]["metadata"], s["status"]["labels"], s["status"]["annotations"]),
                         ("SANDBOX_READY", config["metadata"], {"app": "x", "tier": "y"}, {"note": "z"}))
        info = json.loads(s["info"]["info"])
        self.assertEqual(info["config"]["labels"], {"app": "x", "tier": "y"})
        self.assertEqual(info["runtimeSpec"]["annotations"]["io.kubernetes.cri.container-type"], "sandbox")
        # the original's labels, for whoever looks with ctr
        c = json.loads(self.k8s("containers", "info", pod).stdout)
        self.assertEqual((c["Labels"]["io.cri-containerd.kind"], c["Labels"]["app"]), ("sandbox", "x"))
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
