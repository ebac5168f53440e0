"""A real distribution as an image of several layers: made by debootstrap, pulled from a registry, and
compared file by file with what went in."""
import io
import os
import shutil
import stat
import tarfile
import unittest

from casco import TOP, DaemonTest, run
from registry import Registry, layer, write_hosts

CACHE = TOP / "build" / "cache"
REMOVED = "usr/share/zoneinfo/Europe/Lisbon"  # in a lower layer, whited out by the last one
OPAQUE = "usr/share/zoneinfo/Asia"            # a folder whose lower content the last layer hides
SPLIT = (("usr/share",), ("usr/lib", "usr/libexec"), ("usr", "etc"), ("",))


def debian_rootfs():
    """A minimal Debian, made once for this checkout."""
    root = CACHE / "debian"
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        run(["debootstrap", "--variant=minbase", "--include=tzdata", "bookworm", root], timeout=500)
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        for name in os.listdir(root / "dev"):  # a container has a /dev of its own
            path = root / "dev" / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (root / ".complete").touch()
    return root


def layers_of(root):
    """The tree split into layers by folder; each holds the parent folders of what it has, and files of
    several names are hard links within a layer."""
    seen, out = set(), []
    for group in SPLIT:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for top in group:
                parents = [] if not top else ["/".join(top.split("/")[:i]) for i in range(1, len(top.split("/")))]
                names = sorted(parents) + [top] if top else []
                base = root / top
                for folder, folders, files in os.walk(base):
                    folders.sort()
                    names += [os.path.relpath(os.path.join(folder, n), root) for n in sorted(folders + files)]
                for name in names:
                    is_folder = (root / name).is_dir() and not (root / name).is_symlink()
                    if name == ".complete" or (name in seen and not is_folder):
                        continue
                    seen.add(name)
                    tar.add(root / name, arcname=name, recursive=False)
        out.append(buffer.getvalue())
    out.append(layer([("usr/", None), ("usr/share/", None), ("usr/share/zoneinfo/", None),
                      ("usr/share/zoneinfo/Europe/", None),
                      ("usr/share/zoneinfo/Europe/.wh.Lisbon", b""), (OPAQUE + "/", None),
                      (OPAQUE + "/.wh..wh..opq", b""), (OPAQUE + "/only", b"this\n")]))
    return out


def tree(root, skip=()):
    """Every name with what a container can see of it."""
    found = {}
    for folder, folders, files in os.walk(root):
        for n in folders + files:
            path = os.path.join(folder, n)
            name = os.path.relpath(path, root)
            if name.startswith(tuple(skip)):
                continue
            st = os.lstat(path)
            kind = stat.S_IFMT(st.st_mode)
            is_file = kind == stat.S_IFREG
            found[name] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_size if is_file else 0,
                           int(st.st_mtime) if is_file else 0,
                           os.readlink(path) if kind == stat.S_IFLNK else "", st.st_nlink if is_file else 0)
    return found


class Debian(DaemonTest):
    images = False

    @classmethod
    def setUpClass(cls):
        if not shutil.which("debootstrap"):
            raise unittest.SkipTest("debootstrap is not installed")
        super().setUpClass()
        cls.registry = Registry(cls.scratch.path / "registry")
        cls.addClassCleanup(cls.registry.stop)
        cls.source = debian_rootfs()
        cls.registry.push("library/debian", "12", layers_of(cls.source))
        write_hosts(cls.daemon.certs, "docker.io", cls.registry)
        cls.ctr("images", "pull", "docker.io/library/debian:12", timeout=300)
        cls.IMAGE = "docker.io/library/debian:12"

    def test_programs_run(self):
        r = self.ctr("run", "--rm", self.IMAGE, "deb", "dpkg", "-l", "tzdata")
        self.assertIn("tzdata", r.stdout)
        r = self.ctr("run", "--rm", "--read-only", self.IMAGE, "perl", "perl", "-e", "print 6*7")
        self.assertEqual(r.stdout, "42")

    def test_every_file_is_as_it_was(self):
        mount = self.scratch.path / "view"
        mount.mkdir()
        tip = [line.split() for line in self.ctr("snapshots", "list").stdout.splitlines()[1:]]
        parents = {w[1] for w in tip if len(w) > 2}
        (top,) = [w[0] for w in tip if w[0] not in parents]
        self.ctr("run", "-d", self.IMAGE, "hold", "sleep", "60")
        pid = self.task_line("hold").split()[1]
        try:
            skip = ("proc", "sys", "dev", "run", ".complete", "etc/resolv.conf", "etc/hostname", "etc/hosts")
            want, got = tree(self.source, skip), tree(f"/proc/{pid}/root", skip)
        finally:
            self.ctr("tasks", "kill", "-s", "SIGKILL", "hold")
        self.assertTrue(top)
        want = {n: v for n, v in want.items() if n != REMOVED and not n.startswith(OPAQUE + "/")}
        only = got.pop(OPAQUE + "/only")
        self.assertEqual(only[3], 5)
        self.assertNotIn(REMOVED, got)
        # hard links from a lower layer to a whited-out name keep their count there
        different = {n: (want.get(n), got.get(n)) for n in want.keys() | got.keys()
                     if (want.get(n) or ())[:6] != (got.get(n) or ())[:6]}
        self.assertEqual(dict(sorted(different.items())[:10]), {})


if __name__ == "__main__":
    unittest.main()
