"""mounts: options of binds over what their source has, recursive attributes, propagation, idmapped mounts, odd sources."""
import os
import subprocess
import unittest

from bundle import RuncTest
from casco import Terminal, program

USER = [{"containerID": 0, "hostID": 100000, "size": 65536}]


class MountTest(RuncTest):
    def setUp(self):
        super().setUp()
        self.b.config["root"]["readonly"] = False
        self.data = self.top / "data"
        self.data.mkdir()
        os.chmod(self.top, 0o711)
        for name in ("m", "n", "plain"):  # root of a user namespace may not make them
            (self.b.root / name).mkdir()

    def user_namespace(self):
        linux = self.b.config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "user"] + [{"type": "user"}]
        linux.update(uidMappings=USER, gidMappings=USER)

    def run_staged(self, stage, *args):
        """runc run with the host's mounts prepared by a script, in a mount namespace that ends with it."""
        self.b.config["process"]["args"] = list(args)
        self.b.write()
        return subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-ec", stage + '\nexec "$@"', "sh",
                               program("runc"), "--root", self.state, "run", self.id], cwd=self.b.path, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)

    def mounted(self, stage, where="/m"):
        """The attributes of a mount, as the container sees them."""
        r = self.run_staged(stage, "cat", "/proc/self/mountinfo")
        self.assertEqual(r.returncode, 0, r.stderr)
        lines = [l.split() for l in r.stdout.splitlines()]
        return [set(l[5].split(",")) for l in lines if l[4] == where][-1]


class BindFlags(MountTest):
    """What runc's own mounts_sshfs tests hold it to: source's flags, options, and with a user namespace."""

    def flags(self, host, bind):
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/m"]
        self.b.mount("/m", type="bind", source=str(self.data), options=bind.split(","))
        return self.mounted(f"mount -t tmpfs -o rw,suid,dev,exec,diratime,strictatime tmpfs {self.data}\n"
                            f"mount --bind -o remount,diratime,strictatime {self.data}\n"
                            f"mount --bind -o remount,{host} {self.data}")

    def check(self, host, bind, has="", lacks=""):
        got = self.flags(host, bind)
        for flag in has.split():
            self.assertIn(flag, got, (host, bind))
        for flag in lacks.split():
            self.assertNotIn(flag, got, (host, bind))

    def refused(self, host, bind):
        with self.assertRaises(AssertionError) as caught:
            self.flags(host, bind)
        self.assertIn("operation not permitted", str(caught.exception))
        self.assertIn("error mounting", str(caught.exception))

    def test_same_owner(self):
        all_ = "ro,noexec,nosymfollow,nodiratime"
        self.check(all_, "bind", "ro noexec nodiratime", "rw")
        self.check(all_, "bind,dev", "rw nodiratime", "ro noexec nosymfollow")
        self.check("ro", "bind,nosuid,nodev,rprivate", "rw nosuid nodev", "ro")
        self.check("ro", "bind,rw,nosuid,nodev", "rw nosuid nodev", "ro")
        self.check("nosuid,nodev,noexec,noatime", "bind,dev,suid,exec,atime", "rw noatime", "ro nosuid nodev noexec")
        self.check("rw,nodev,nosuid,noexec,noatime", "bind,ro", "ro noatime", "nosuid nodev noexec")
        self.check("rw,nodev,nosymfollow", "bind,ro,symfollow", "ro", "rw nodev nosymfollow")

    def test_times(self):
        self.check("noatime", "bind", "noatime", "relatime")
        self.check("noatime", "bind,norelatime", "noatime", "relatime")
        self.check("noatime", "bind,atime", "noatime", "relatime")
        self.check("noatime", "bind,relatime", "relatime", "noatime")
        self.check("noatime", "bind,nodiratime", "relatime nodiratime", "noatime")
        self.check("nodiratime", "bind,strictatime", "", "noatime relatime nodiratime")
        self.check("noatime", "bind,nodiratime,strictatime", "nodiratime", "noatime relatime")
        self.check("noatime", "bind,nodiratime,norelatime", "nodiratime relatime", "noatime")

    def test_another_owner(self):
        """Locked flags stay where nobody spoke of them, and may not be taken away."""
        self.user_namespace()
        all_ = "ro,noexec,nosymfollow,nodiratime"
        self.check(all_, "bind", "ro noexec nodiratime", "rw")
        self.check(all_, "bind,dev", "ro noexec nodiratime", "rw nosymfollow")
        self.check("ro", "bind,nosuid,nodev,rprivate", "ro nosuid nodev")
        self.refused("ro", "bind,rw,nosuid,nodev")
        self.refused("nodev,nosuid,noatime", "bind,dev,suid,exec,atime")
        self.check("rw,nodev,nosuid,noexec,noatime", "bind,ro", "ro nosuid nodev noexec")
        self.check("rw,nodev,nosymfollow", "bind,ro,symfollow", "ro nodev", "nosymfollow")
        self.check("rw,nodev,nosymfollow", "bind,rw", "rw nodev", "nosymfollow")
        self.check("nodev,nosuid,noatime", "bind,ro,exec", "ro nosuid nodev noatime", "noexec")

    def test_times_of_another_owner(self):
        self.user_namespace()
        self.check("strictatime", "bind", "", "noatime relatime nodiratime")
        self.check("noatime,nodiratime", "bind", "noatime nodiratime")
        self.check("noatime,nodiratime", "bind,norelatime", "noatime nodiratime")
        self.check("strictatime", "bind,strictatime", "", "noatime relatime")
        for host, bind in (("nodiratime", "strictatime"), ("relatime", "strictatime"), ("noatime", "strictatime"),
                           ("nodiratime", "noatime"), ("relatime", "noatime"), ("noatime", "relatime")):
            self.refused(host, "bind," + bind)

    def test_no_options_of_file_systems(self):
        self.b.mount("/m", source=str(self.data), options=["bind", "size=1m"])
        self.fails("invalid mount /m: bind mounts cannot have any filesystem-specific options applied")


class Recursive(MountTest):
    STAGE = ("mount -t tmpfs tmpfs {0}\nmkdir {0}/sub\nmount -t tmpfs tmpfs {0}/sub\n"
             "mount --bind -o remount,nosuid,strictatime {0}/sub")

    def sub(self, *options):
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/m"]
        self.b.mount("/m", source=str(self.data), options=["rbind", *options])
        stage = self.STAGE.format(self.data)
        return self.mounted(stage), self.mounted(stage, "/m/sub")

    def test_attributes(self):
        for option, has in (("rro", "ro"), ("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"),
                            ("rnoatime", "noatime"), ("rnodiratime", "nodiratime"), ("rnosymfollow", "nosymfollow"),
                            ("rrelatime", "relatime")):
            for attrs in self.sub(option):
                self.assertIn(has, attrs, option)
        for option, lacks in (("rrw", "ro"), ("rsuid", "nosuid"), ("rdev", "nodev"), ("rexec", "noexec"),
                              ("rdiratime", "nodiratime"), ("rsymfollow", "nosymfollow"), ("rstrictatime", "relatime")):
            for attrs in self.sub(option):
                self.assertNotIn(lacks, attrs, option)

    def test_ro_is_not_recursive(self):
        top, sub = self.sub("ro")
        self.assertIn("ro", top)
        self.assertIn("rw", sub)
        top, sub = self.sub("rro", "nosuid")
        self.assertTrue({"ro", "nosuid"} <= top and "ro" in sub)

    def test_on_a_new_file_system(self):
        self.b.mount("/m", type="tmpfs", source="tmpfs", options=["rro", "rnosuid"])
        self.assertTrue({"ro", "nosuid"} <= self.mounted(""))


class Propagation(MountTest):
    def optional(self, option, where):
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/m"]
        self.b.mount("/m", source=str(self.data), options=["rbind", option])
        r = self.run_staged(f"mount --bind {self.data} {self.data}\nmount --make-shared {self.data}\nmkdir -p {self.data}/sub\n"
                            f"mount -t tmpfs tmpfs {self.data}/sub", "cat", "/proc/self/mountinfo")
        self.assertEqual(r.returncode, 0, r.stderr)
        words = [l.split() for l in r.stdout.splitlines()]
        fields = [w[6:w.index("-")] for w in words if w[4] == where][-1]
        return {f.split(":")[0] for f in fields}

    def test_every_flag(self):
        # the source is a slave of the host's by then, which sharing does not end
        for option, want in (("private", set()), ("shared", {"shared", "master"}), ("unbindable", {"unbindable"})):
            self.assertEqual(self.optional(option, "/m"), want, option)
            self.assertEqual(self.optional("r" + option, "/m/sub"), want, option)
        self.b.config["linux"]["rootfsPropagation"] = "rslave"
        for option in ("slave", "rslave"):
            self.assertEqual(self.optional(option, "/m"), {"master"}, option)

    def test_a_slave_gets_the_hosts_mounts(self):
        """A mount that the host makes later appears inside."""
        self.b.config["linux"]["rootfsPropagation"] = "rslave"
        self.b.mount("/m", source=str(self.data), options=["rbind", "rslave"])
        r = self.run_staged(f"mount --bind {self.data} {self.data}; mount --make-shared {self.data}; mkdir -p {self.data}/late\n"
                            f"(sleep 0.5; mount -t tmpfs late {self.data}/late) &",
                            "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do grep -q late /proc/self/mountinfo && exit 0; "
                            "sleep 0.2; done; exit 9")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_rootfs_propagation(self):
        for name, want in (("shared", "shared:"), ("rshared", "shared:"), ("unbindable", "unbindable"),
                           ("runbindable", "unbindable"), ("private", " - "), ("rprivate", " - ")):
            self.b.config["linux"]["rootfsPropagation"] = name
            out = self.sh("grep ' / / ' /proc/self/mountinfo || grep 'rootfs / ' /proc/self/mountinfo")
            self.assertIn(want, out, name)
        self.b.config["linux"]["rootfsPropagation"] = "private"
        self.b.config["process"]["args"] = ["true"]
        self.b.write()
        r = self.runc("run", "--no-pivot", self.id)
        self.assertIn("rootfsPropagation of [r]private is not safe without pivot_root", r.stderr)


class IdMaps(MountTest):
    def setUp(self):
        super().setUp()
        for name, uid, gid in (("foo", 100, 211), ("bar", 101, 222), ("baz", 102, 233)):
            (self.data / name).write_text("")
            os.chown(self.data / name, uid, gid)

    def idmapped(self, where, uid, gid, *options, source=None):
        def ranges(text):
            return [dict(zip(("containerID", "hostID", "size"), map(int, r.split(":")))) for r in text.split()]
        self.b.mount(where, source=source or str(self.data), options=["bind", *options],
                     **({"uidMappings": ranges(uid)} if uid else {}), **({"gidMappings": ranges(gid)} if gid else {}))

    def owners(self, where="/m"):
        return self.sh(f"stat -c %u:%g {where}/foo {where}/bar {where}/baz").split()

    def test_without_a_user_namespace(self):
        self.idmapped("/m", "100:100000:100", "200:100000:100")
        self.idmapped("/n", "100:101000:100", "200:102000:100")
        self.assertEqual(self.owners(), ["100000:100011", "100001:100022", "100002:100033"])
        self.assertEqual(self.owners("/n"), ["101000:102011", "101001:102022", "101002:102033"])

    def test_with_a_user_namespace(self):
        self.user_namespace()
        self.idmapped("/m", "100:101100:3", "200:101900:50")
        self.b.mount("/plain", source=str(self.data), options=["bind"])
        self.assertEqual(self.owners(), ["1100:1911", "1101:1922", "1102:1933"])
        self.assertEqual(self.owners("/plain"), ["65534:65534"] * 3)

    def test_several_ranges(self):
        self.user_namespace()
        self.idmapped("/m", "100:101000:1 101:102000:1 102:103000:1", "210:101100:10 220:102200:10 230:103300:10")
        self.assertEqual(self.owners(), ["1000:1101", "2000:2202", "3000:3303"])

    def test_maps_of_the_container(self):
        for option in ("idmap", "ridmap"):
            self.user_namespace()
            self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/m"]
            self.idmapped("/m", "", "", option)
            self.assertEqual(self.owners(), ["100:211", "101:222", "102:233"])
            self.assertEqual(self.sh("touch /m/new; stat -c %u:%g /m/new").split(), ["0:0"])
            self.assertEqual((self.data / "new").stat().st_uid, 0)

    def test_maps_of_a_joined_user_namespace(self):
        holder = subprocess.Popen(["unshare", "-U", "sleep", "60"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        own = os.readlink("/proc/self/ns/user")
        while os.readlink(f"/proc/{holder.pid}/ns/user") == own:
            pass
        for kind in ("uid", "gid"):
            with open(f"/proc/{holder.pid}/{kind}_map", "w") as f:
                f.write("0 100000 65536")
        self.b.config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{holder.pid}/ns/user"})
        self.idmapped("/m", "", "", "idmap")
        self.assertEqual(self.owners(), ["100:211", "101:222", "102:233"])

    def test_recursion(self):
        """idmap leaves the mounts below as they are, ridmap does not."""
        stage = f"mkdir {self.data}/sub; mount -t tmpfs tmpfs {self.data}/sub; touch {self.data}/sub/f"
        for option, want in (("idmap", "0"), ("ridmap", "5000")):
            self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] != "/m"]
            self.idmapped("/m", "0:5000:1000", "0:5000:1000", "rbind", option)
            r = self.run_staged(f"mkdir -p {self.data}/sub; " + stage.split(";", 1)[1], "stat", "-c", "%u", "/m/sub/f")
            self.assertEqual(r.stdout.strip(), want, r.stderr)

    def test_relative_source_and_shared(self):
        os.rename(self.data, self.b.path / "source")
        self.idmapped("/m", "100:1000:100", "200:2000:100", "shared", source="source/")
        self.assertEqual(self.owners(), ["1000:2011", "1001:2022", "1002:2033"])
        self.assertIn("shared:", self.sh("grep ' /m ' /proc/self/mountinfo"))

    def inner(self, *options):
        """/m is bound, then read as part of the rootfs by an id-mapped mount."""
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["destination"] not in ("/m", "/n", "/top")]
        (self.b.path / "rootfs/top/m").mkdir(parents=True, exist_ok=True)
        self.b.mount("/top", type="tmpfs", source="tmpfs")
        self.b.mount("/top/m", source=str(self.data), options=["bind"])
        self.idmapped("/n", "100:100500:3", "211:100600:50", *options, source=str(self.b.path / "rootfs/top/m"))

    def test_what_an_earlier_mount_put_there(self):
        for options in ((), ("ro",)):
            self.inner(*options)
            self.assertEqual(self.owners("/n"), ["100500:100600", "100501:100611", "100502:100622"])
        self.assertIn("Read-only file system", self.sh("touch /n/foo 2>&1; true"))
        self.assertEqual(self.owners("/top/m"), ["100:211", "101:222", "102:233"])

    def test_what_an_earlier_mount_put_there_in_a_user_namespace(self):
        self.user_namespace()
        self.inner()
        self.assertEqual(self.owners("/n"), ["500:600", "501:611", "502:622"])
        self.b.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
        self.b.config["process"]["terminal"] = False
        self.assertEqual(self.owners("/n"), ["500:600", "501:611", "502:622"])

    def test_owners_that_an_inner_file_system_cannot_have(self):
        self.b.config["mounts"].append({"destination": "/n", "type": "none", "source": str(self.b.path / "rootfs/proc/self"),
                                        "options": ["bind"], "uidMappings": USER, "gidMappings": USER})
        self.fails('error mounting "' + str(self.b.path) + '/rootfs/proc/self" to rootfs at "/n": failed to set MOUNT_ATTR_IDMAP on')

    def test_refusals(self):
        self.idmapped("/m", "", "", "idmap")
        self.fails("invalid mount /m: id-mapped mounts must have both uid and gid mappings specified")
        del self.b.config["mounts"][-1]
        self.idmapped("/m", "0:1:1", "")
        self.fails("id-mapped mounts must have both uid and gid mappings specified")
        del self.b.config["mounts"][-1]
        self.b.mount("/m", type="tmpfs", source="tmpfs", uidMappings=USER, gidMappings=USER)
        self.fails("id-mapped mounts are only supported for bind-mounts")
        del self.b.config["mounts"][-1]
        self.idmapped("/m", "0:1:1", "0:1:1", source="/proc/sys")
        self.fails("failed to set MOUNT_ATTR_IDMAP on /proc/sys: invalid argument (maybe the filesystem used doesn't support "
                   "idmap mounts on this kernel?)")


class Sources(MountTest):
    def test_link_and_relative(self):
        (self.data / "f").write_text("data")
        os.symlink(self.data, self.b.path / "link")
        self.b.mount("/l", source=str(self.b.path / "link"), options=["bind"])
        self.b.mount("/r", source="link/f", options=["bind", "ro"])
        self.assertEqual(self.sh("cat /l/f /r; echo >/r || echo ro"), "datadataro\n")

    def test_a_missing_source(self):
        self.b.mount("/l", source="nowhere", options=["bind"])
        self.fails('error mounting "nowhere" to rootfs at "/l": stat nowhere: no such file or directory')

    def test_tmpfs_keeps_the_mode_of_what_it_covers(self):
        (self.b.root / "one").mkdir()
        os.chmod(self.b.root / "one", 0o2750)
        self.b.mount("/one", type="tmpfs", source="tmpfs")
        self.b.mount("/two", type="tmpfs", source="tmpfs")
        self.b.mount("/three", type="tmpfs", source="tmpfs", options=["mode=0711"])
        self.assertEqual(self.sh("stat -c %a /one /two /three").split(), ["2750", "1777", "711"])

    def test_copy_up(self):
        (self.b.root / "etc/dir").mkdir(0o700)
        (self.b.root / "etc/dir/f").write_text("x")
        os.chown(self.b.root / "etc/dir/f", 5, 6)
        os.chmod(self.b.root / "etc", 0o750)
        self.b.mount("/etc", type="tmpfs", source="tmpfs", options=["tmpcopyup", "ro"])
        out = self.sh("stat -c '%a %u %g' /etc /etc/dir /etc/dir/f; cat /etc/dir/f; touch /etc/x 2>&1 || true")
        self.assertTrue(out.startswith("750 0 0\n700 0 0\n644 5 6\nx"), out)
        self.assertIn("Read-only", out)

    def test_dev_bound(self):
        self.b.config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"},
                                   {"destination": "/dev", "source": "/dev", "options": ["rbind", "ro"]}]
        before = sorted(os.listdir("/dev"))
        self.assertEqual(sorted(self.sh("ls /dev").split()), before)
        self.assertEqual(sorted(os.listdir("/dev")), before)

    def test_readonly_dev_and_tmpfs(self):
        """Read-only in the end: devices and mount points are made in them first."""
        for m in self.b.config["mounts"]:
            if m["destination"] == "/dev":
                m["options"].append("ro")
        self.b.mount("/t", type="tmpfs", source="tmpfs", options=["ro", "noexec"])
        self.b.mount("/t/sub", type="tmpfs", source="tmpfs")
        out = self.sh("ls /dev/null /dev/pts/ptmx /t; touch /dev/x /t/x 2>&1; touch /t/sub/x /dev/shm/x; echo >/dev/null; "
                      "grep -E ' /(dev|t) ' /proc/self/mountinfo")
        self.assertEqual(out.count("Read-only file system"), 2, out)
        self.assertTrue(all(" ro," in l for l in out.splitlines() if "tmpfs" in l), out)
        self.b.mount("/dev/own", source=str(self.data), options=["bind"])
        self.b.config["process"].update(terminal=True)
        self.b.config["process"]["args"] = ["sh", "-c", "ls -l /dev/console; touch /dev/x"]
        self.b.write()
        t = Terminal([program("runc"), "--root", self.state, "run", "-b", self.b.path, self.id])
        self.addCleanup(t.close)
        self.assertNotEqual(t.wait(), 0)
        self.assertIn("/dev/console", t.seen)
        self.assertIn("Read-only", t.seen)

    def test_in_the_root_file_system(self):
        """The host's paths of places in it, as the mounts before have left them; without links that lead out."""
        for name in ("one", "two"):
            (self.top / name / name).mkdir(parents=True)
        (self.b.root / "out").symlink_to(self.top / "one")
        for userns in (False, True):
            self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m.get("type") != "bind"]
            for source, destination in ((self.top / "one", "/tmp"), (self.top / "two", f"{self.b.root}/tmp/one"),
                                        (f"{self.b.root}/tmp", f"{self.b.root}/mnt")):
                self.b.mount(str(destination), type="bind", source=str(source), options=["rbind"])
            if userns:
                self.user_namespace()
                os.chmod(self.top, 0o711)
            self.assertEqual(self.sh("ls /mnt/one"), "two\n", userns)
        self.b.mount("/mnt", type="bind", source=f"{self.b.root}/out", options=["bind"])
        self.assertNotEqual(self.run_in("true").returncode, 0)

    def test_through_dangling_links(self):
        """The mount point is made where they lead, inside."""
        (self.top / "file").write_text("text")
        (self.b.root / "jump").symlink_to("/tmp/foo/bar")
        (self.b.root / "etc").mkdir(exist_ok=True)
        (self.b.root / "etc/hosts").symlink_to("/jump/baz/hosts")
        self.b.mount("/etc/hosts", type="bind", source=str(self.top / "file"), options=["bind"])
        self.assertEqual(self.sh("cat /tmp/foo/bar/baz/hosts"), "text")

    def test_relative_destination(self):
        self.b.mount("rel", type="tmpfs", source="tmpfs")
        r = self.run_in("sh", "-c", "grep -c ' /rel ' /proc/self/mountinfo")
        self.assertEqual(r.stdout.strip(), "1")
        self.assertIn("mount destination rel is not absolute", r.stderr)


class Cgroups(MountTest):
    V2 = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup"

    def test_the_machines_layout(self):
        for own in (True, False):
            self.b.config["linux"]["namespaces"] = [n for n in self.b.config["linux"]["namespaces"] if n["type"] != "cgroup"]
            if own:
                self.b.config["linux"]["namespaces"].append({"type": "cgroup"})
            out = self.sh("ls /sys/fs/cgroup; grep ' /sys/fs/cgroup ' /proc/self/mountinfo; cat /sys/fs/cgroup/pids/cgroup.procs; "
                          "mkdir /sys/fs/cgroup/pids/x 2>&1 || true")
            self.assertIn("memory", out)
            self.assertIn("\n1\n", out)  # our own folder, in which we are
            self.assertIn("Read-only", out)

    def test_v2_view(self):
        self.b.config["linux"]["namespaces"].append({"type": "cgroup"})
        r = self.run_staged(self.V2, "sh", "-c", "grep cgroup2 /proc/self/mountinfo; cat /sys/fs/cgroup/cgroup.procs")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(" / /sys/fs/cgroup ro", r.stdout)
        self.assertIn("\n1\n", r.stdout)


if __name__ == "__main__":
    unittest.main()
