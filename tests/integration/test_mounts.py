"""The Mounts service: activations that the daemon makes, keeps and takes back."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import rpc
from casco import DaemonTest, mounts, run, wait_for

SOURCE = "containerd/services/mounts/v1/mounts.proto"


def mount(kind, source, *options, target=""):
    text = f'mounts {{ type: "{kind}" source: "{source}" target: "{target}" '
    return text + " ".join(f'options: "{o}"' for o in options) + " }\n"


def label(key, value):
    return f'labels {{ key: "{key}" value: "{value}" }}\n'


class Mounts(DaemonTest):
    def setUp(self):
        self.work = self.daemon.root / self.id().rpartition(".")[2]
        self.work.mkdir()
        self.addCleanup(shutil.rmtree, self.work, True)
        self.lease = self.ctr("leases", "create").stdout.strip()
        self.addCleanup(self.drop_lease)

    def drop_lease(self):
        self.ctr("leases", "delete", "--sync", self.lease, check=False)
        self.assertEqual(mounts("mount-manager"), [])

    def call(self, method, text, **metadata):
        metadata.setdefault("containerd_lease", self.lease)
        return rpc.call(self.daemon, SOURCE, f"Mounts/{method}", text, **metadata)

    def fails(self, code, words, method, text):
        with self.assertRaises(rpc.RpcError) as e:
            self.call(method, text)
        self.assertEqual(e.exception.code, code, e.exception)
        self.assertIn(words, e.exception.text)

    def activate(self, name, text, **metadata):
        return self.call("Activate", f'name: "{name}"\n{text}', **metadata)[0]

    def point(self, info, i=0):
        return pathlib.Path(re.findall(r'mount_point: "(.*)"', info)[i])

    def names(self, *filters):
        answers = self.call("List", "".join(f"filters: '{f}'\n" for f in filters))
        return [re.search(r'^  name: "(.*)"', a, re.M)[1] for a in answers]

    def folder(self, name, **files):
        path = self.work / name
        path.mkdir()
        for k, v in files.items():
            (path / k).write_text(v)
        return path

    def test_nothing_to_do(self):
        self.fails("UNIMPLEMENTED", "", "Activate", 'name: "x"\n' + mount("bind", self.work, "rbind"))
        self.fails("UNIMPLEMENTED", "", "Activate", 'name: "x"\n' + mount("strange/bind", self.work))
        self.fails("INVALID_ARGUMENT", "name", "Activate", "temporary: true")
        self.fails("NOT_FOUND", 'mount "x": not found', "Info", 'name: "x"')
        self.fails("NOT_FOUND", 'mount "x": not found', "Deactivate", 'name: "x"')
        self.assertEqual(self.names(), [])

    def test_temporary(self):
        low = self.folder("low", here="it is\n")
        info = self.activate("t", mount("bind", low, "rbind", "ro") + "temporary: true")
        point = self.point(info)
        self.assertEqual((point / "here").read_text(), "it is\n")
        with self.assertRaises(OSError):
            (point / "new").write_text("")
        self.assertRegex(info, r'system \{\n    type: "bind"\n    source: "%s"\n    options: "rbind"' % point)
        self.assertIn("mounted_at", info)
        self.assertEqual(self.call("Info", 'name: "t"')[0], info)
        self.fails("ALREADY_EXISTS", 'mount "t"', "Activate", 'name: "t"\ntemporary: true\n' + mount("bind", low))
        self.call("Deactivate", 'name: "t"')
        self.assertFalse(point.exists())
        self.assertEqual(mounts("mount-manager"), [])

    def test_format_and_mkdir(self):
        low, up = self.folder("low", a="low\n"), self.folder("up")
        text = mount("bind", low, "rbind") + mount("bind", up, "rbind") + mount(
            "format/mkdir/overlay", "overlay", "X-containerd.mkdir.path={{ mount 1 }}/upper:0750:7:8", "X-containerd.mkdir.path={{mount 1}}/work",
            "lowerdir={{ mount 0 }}", "upperdir={{ mount 1 }}/upper", "workdir={{ mount 1 }}/work")
        info = self.activate("f", text + label("who", "me"))
        one, two = self.point(info, 0), self.point(info, 1)
        self.assertRegex(info, r'type: "overlay"\n    source: "overlay"\n    options: "lowerdir=%s"\n    options: "upperdir=%s/upper"' % (one, two))
        st = os.stat(up / "upper")
        self.assertEqual((st.st_mode & 0o7777, st.st_uid, st.st_gid), (0o750, 7, 8))
        # what is left works as it is
        options = ",".join(o for o in re.findall(r'options: "(.*)"', info.split("system {")[1]))
        target = self.folder("target")
        run(["mount", "-t", "overlay", "overlay", "-o", options, target])
        (target / "b").write_text("new\n")
        run(["umount", target])
        self.assertEqual((up / "upper/b").read_text(), "new\n")
        self.assertEqual(self.names('labels."who"==me'), ["f"])
        self.assertEqual(self.names("name==other"), [])
        self.call("Deactivate", 'name: "f"')

    def test_overlay_ranges(self):
        text = "".join(mount("bind", self.folder(n), "rbind") for n in "abc") + mount(
            "format/overlay", "{{ source 1 }}", "lowerdir={{ overlay 2 0 }}", "x={{ overlay 0 1 }}")
        info = self.activate("r", text)
        p = [str(self.point(info, i)) for i in range(3)]
        self.assertIn(f'source: "{self.work}/b"', info.split("system {")[1])
        self.assertIn(f'"lowerdir={p[2]}:{p[1]}:{p[0]}"', info)
        self.assertIn(f'"x={p[0]}:{p[1]}"', info)
        self.call("Deactivate", 'name: "r"')
        for bad, words in (("{{ mount 1 }}", "index out of bounds: 1, has 1 active mounts"), ("{{ mount }}", "wrong number"), ("{{ nosuch 0 }}", "not defined"), ("{{ mount 0", "unclosed"), ("{{ overlay 0 7 }}", "out of bounds")):
            self.fails("INVALID_ARGUMENT", words, "Activate", 'name: "bad"\n' + mount("bind", self.work, "rbind") + mount("format/bind", bad))
        self.assertEqual(self.names(), [])
        self.assertEqual(mounts("mount-manager"), [])

    def test_mkfs_and_loop(self):
        image = self.work / "disk.img"
        uuid = "550e8400-e29b-41d4-a716-446655440000"
        text = mount("mkfs/loop", image, "X-containerd.mkfs.size=16MiB", "X-containerd.mkfs.fs=ext4", f"X-containerd.mkfs.uuid={uuid}")
        text += mount("format/ext4", "{{ mount 0 }}") + mount("format/mkdir/bind", "{{ mount 1 }}/sub", "X-containerd.mkdir.path={{ mount 1 }}/sub:755", "rbind")
        info = self.activate("disk", text)
        device = os.readlink(self.point(info, 0))
        self.assertRegex(device, "^/dev/loop[0-9]+$")
        self.assertIn(uuid, run(["blkid", "-p", image]).stdout)
        (self.point(info, 1) / "sub/file").write_text("kept\n")
        backing = pathlib.Path("/sys/block") / os.path.basename(device) / "loop/backing_file"
        self.assertEqual(backing.read_text().strip(), str(image))
        # a daemon that dies forgets nothing
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.call("Info", 'name: "disk"')[0], info)
        self.assertEqual((self.point(info, 1) / "sub/file").read_text(), "kept\n")
        self.call("Deactivate", 'name: "disk"')
        self.assertFalse(backing.exists())
        # the file is not made a second time
        info = self.activate("disk", text)
        self.assertEqual((self.point(info, 1) / "sub/file").read_text(), "kept\n")
        self.call("Deactivate", 'name: "disk"')
        for options, words in ((["X-containerd.mkfs.fs=ext4"], "requires mkfs.size"), (["X-containerd.mkfs.size=1m", "X-containerd.mkfs.fs=ntfs"], "unsupported filesystem"), (["X-containerd.mkfs.size=x"], "size"), (["X-containerd.mkfs.what=1"], "unknown")):
            self.fails("INVALID_ARGUMENT", words, "Activate", 'name: "bad"\n' + mount("mkfs/loop", self.work / "other.img", *options))
        self.fails("UNKNOWN", "mkfs.ext4", "Activate", 'name: "bad"\n' + mount("mkfs/loop", self.work / "other.img", "X-containerd.mkfs.size=1k"))
        self.assertEqual(sorted(os.listdir(self.work)), ["disk.img"])

    def test_bounds(self):
        """Nothing is made outside of the daemon's folders, and nothing there is changed."""
        outside = self.scratch.path / "outside"
        (self.work / "link").symlink_to("/tmp")
        (self.work / "file").write_text("")
        for path in (outside, f"{self.work}/../../outside", "relative"):
            self.fails("INVALID_ARGUMENT", "", "Activate", 'name: "bad"\n' + mount("mkdir/bind", self.work, f"X-containerd.mkdir.path={path}"))
            self.assertFalse(outside.exists())
        self.fails("UNKNOWN", "", "Activate", 'name: "bad"\n' + mount("mkdir/bind", self.work, f"X-containerd.mkdir.path={self.work}/link/casco-outside"))
        self.assertFalse(os.path.exists("/tmp/casco-outside"))
        self.fails("FAILED_PRECONDITION", "not a directory", "Activate", 'name: "bad"\n' + mount("mkdir/bind", self.work, f"X-containerd.mkdir.path={self.work}/file"))
        self.fails("INVALID_ARGUMENT", "invalid mode", "Activate", 'name: "bad"\n' + mount("mkdir/bind", self.work, f"X-containerd.mkdir.path={self.work}/d:7777"))
        self.fails("INVALID_ARGUMENT", "invalid mkdir option", "Activate", 'name: "bad"\n' + mount("mkdir/bind", self.work, f"X-containerd.mkdir.path={self.work}/d:755:1"))
        self.fails("INVALID_ARGUMENT", "too many mounts", "Activate", 'name: "bad"\n' + mount("bind", "/", "rbind") * 256)

    def test_a_failure_takes_back(self):
        self.fails("UNKNOWN", "mount failed", "Activate", 'name: "x"\n' + mount("bind", self.work, "rbind") + mount("bind", self.work / "nosuch", "rbind") + "temporary: true")
        self.assertEqual((self.names(), mounts("mount-manager")), ([], []))

    def test_labels(self):
        text = 'info { name: "l" labels { key: "a" value: "1" } labels { key: "b" value: "2" } }'
        self.activate("l", mount("bind", self.work, "rbind") + label("a", "0") + "temporary: true")
        self.call("Update", text + ' update_mask { paths: "labels.b" }')
        self.assertEqual(self.names("labels.b==2,labels.a==0"), ["l"])
        self.fails("INVALID_ARGUMENT", 'cannot update "active" field', "Update", text + ' update_mask { paths: "active" }')
        self.call("Update", text)
        self.assertEqual(self.names("labels.b==2,labels.a==1"), ["l"])
        self.call("Deactivate", 'name: "l"')

    def test_garbage(self):
        """A lease holds it, a container does, nothing does."""
        text = mount("bind", self.work, "rbind") + "temporary: true\n"
        self.ctr("containers", "create", self.IMAGE, "owner")
        self.activate("leased", text)
        self.activate("owned", text + label("containerd.io/gc.bref.container", "owner"), containerd_lease="")
        self.activate("rooted", text + label("containerd.io/gc.root", "1"), containerd_lease="")
        self.assertEqual(self.names(), ["leased", "owned", "rooted"])
        self.ctr("leases", "delete", "--sync", self.lease)
        self.lease = ""
        self.assertEqual(self.names(), ["owned", "rooted"])
        self.assertEqual(len(mounts("mount-manager")), 2)
        self.ctr("containers", "delete", "owner")
        wait_for("the mount to go", lambda: self.names() == ["rooted"])
        wait_for("its folder to go", lambda: len(mounts("mount-manager")) == 1)
        self.call("Deactivate", 'name: "rooted"')

    def test_half_made_ones_go_with_the_next_start(self):
        self.activate("x", mount("bind", self.work, "rbind") + "temporary: true")
        self.daemon.kill()
        # as a crash in the middle leaves it: a folder that no record knows
        t = self.daemon.state / "io.containerd.mount-manager.v1.bolt/t"
        (t / "77/0").mkdir(parents=True)
        run(["mount", "--bind", self.work, t / "77/0"])
        self.daemon.start()
        self.assertFalse((t / "77").exists())
        self.assertEqual((self.names(), len(mounts("mount-manager"))), (["x"], 1))
        self.call("Deactivate", 'name: "x"')

    def test_busy(self):
        info = self.activate("x", mount("bind", self.work, "rbind") + "temporary: true")
        holder = subprocess.Popen(["sleep", "60"], cwd=self.point(info))
        try:
            self.fails("UNKNOWN", "busy", "Deactivate", 'name: "x"')
            self.assertEqual(self.names(), [])
        finally:
            holder.kill()
            holder.wait()
        self.ctr("leases", "delete", "--sync", self.lease)
        self.assertEqual(mounts("mount-manager"), [])

    def test_task_on_a_disk(self):
        """A rootfs in the making: an image file, its device, its file system; gone with the task."""
        self.ctr("snapshots", "view", "look", self.layer())
        low = self.folder("low")
        lines = self.ctr("snapshots", "mounts", low, "look").stdout.splitlines()
        for line in lines:
            run(line.split())
        try:
            self.ctr("containers", "create", "--snapshotter", "overlayfs", self.IMAGE, "box", "sh", "-c", "echo x >/new; df / | tail -n1; sleep 100")
            image = self.work / "w.img"
            rootfs = mount("mkfs/loop", image, "X-containerd.mkfs.size=16m") + mount("format/ext4", "{{ mount 0 }}") + mount(
                "format/mkdir/overlay", "overlay", "X-containerd.mkdir.path={{ mount 1 }}/u:755", "X-containerd.mkdir.path={{ mount 1 }}/w", f"lowerdir={low}", "upperdir={{ mount 1 }}/u", "workdir={{ mount 1 }}/w")
            tasks = "containerd/services/tasks/v1/tasks.proto"
            rpc.call(self.daemon, tasks, "Tasks/Create", 'container_id: "box"\n' + rootfs.replace("mounts {", "rootfs {"))
            self.assertEqual(self.names(), ["box"])
            rpc.call(self.daemon, tasks, "Tasks/Start", 'container_id: "box"')
            wait_for("the file", lambda: self.ctr("tasks", "exec", "--exec-id", "e", "box", "cat", "/new", check=False).stdout == "x\n")
            self.ctr("tasks", "kill", "-s", "KILL", "box")
            wait_for("the end", lambda: "STOPPED" in self.task_line("box"))
            self.ctr("tasks", "delete", "box", check=False)
            self.assertEqual((self.names(), mounts("mount-manager")), ([], []))
            rpc.call(self.daemon, tasks, "Tasks/Create", 'container_id: "box"\nterminal: true')
        except rpc.RpcError as e:  # the last one: a failed creation leaves nothing either
            self.assertEqual(self.names(), [], e)
        finally:
            run(["umount", low])
            self.ctr("snapshots", "delete", "look")

    def layer(self):
        for line in self.ctr("snapshots", "list").stdout.splitlines()[1:]:
            if "Committed" in line:
                return line.split()[0]
        raise AssertionError("no layer")


if __name__ == "__main__":
    unittest.main()
