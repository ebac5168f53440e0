"""What the virtual machines boot: Debian's kernel, an initramfs of busybox, and a disk with systemd.

Everything is made in the build folder (build/vm) from Debian's packages, which are unpacked there
and not installed: no kernel, no bootloader and no AppArmor come to the machine that tests.  A file
is named after what it was made from, so that it is made once."""
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from casco import BIN

HERE = pathlib.Path(__file__).resolve().parent
CACHE = BIN.parent / "vm"

# In the order of loading.  virtio for the disks, overlay for snapshots, the rest for tests.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
           "overlay", "dummy", "veth")

SUITE = "bookworm"
# systemd with user instances, and the libraries of our dynamic programs.
DISK_PACKAGES = ("systemd systemd-sysv dbus dbus-user-session libpam-systemd libnghttp2-14 liblmdb0 libjson-c5 "
                 "libseccomp2 libcap2 libcurl4 libarchive13 libisal2 libzstd1 libprotobuf-c1 libssl3").split()
DISK_SIZE = "700M"


class Missing(Exception):
    """What a machine is made of cannot be had here: the reason for a skip."""


def command(*words, timeout=500, **kw):
    try:
        return subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=True, **kw)
    except FileNotFoundError as e:
        raise Missing(f"{words[0]} is not installed") from e
    except subprocess.CalledProcessError as e:
        raise Missing(f"{' '.join(map(str, words))}: {e.stdout.strip()[-600:]}") from e
    except subprocess.TimeoutExpired as e:
        raise Missing(f"{words[0]} took longer than {timeout} s") from e


def made_once(path, make):
    """path, made under another name and renamed, so that a half one is never taken for whole."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent) as scratch:
        result = pathlib.Path(scratch) / path.name
        make(result, pathlib.Path(scratch))
        os.rename(result, path)
    return path


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def unpack(package, where, scratch):
    """A package's files below `where`, without its scripts."""
    folder = scratch / f"download-{package}"
    folder.mkdir()
    command("apt-get", "download", "-qq", package, cwd=folder)
    command("dpkg-deb", "-x", next(folder.glob("*.deb")), where)


def kernel_package():
    """The name behind Debian's kernel of the day, as linux-image-6.1.0-40-cloud-amd64."""
    if not shutil.which("apt-cache"):
        raise Missing("apt-cache is not installed")
    for line in command("apt-cache", "depends", "linux-image-cloud-amd64").stdout.splitlines():
        words = line.split()
        if words[:1] == ["Depends:"] and words[1].startswith("linux-image-"):
            return words[1]
    raise Missing("the package linux-image-cloud-amd64 cannot be had from apt")


def kernel(more=()):
    """The folder with `vmlinuz` and `modules/`, numbered in the order of loading."""
    name, modules = kernel_package(), (*MODULES, *more)

    def make(result, scratch):
        unpack(name, scratch / "root", scratch)
        (result / "modules").mkdir(parents=True)
        shutil.copy(next((scratch / "root/boot").glob("vmlinuz-*")), result / "vmlinuz")
        found = {p.stem.replace("-", "_"): p for p in (scratch / "root").rglob("*.ko")}
        for i, module in enumerate(modules):
            shutil.copy(found[module], result / "modules" / f"{i:02}-{module}.ko")
    return made_once(CACHE / f"{name}-{digest(*modules)}", make)


def apparmor_profile():
    """guest/apparmor.profile as the kernel takes it."""
    source = HERE / "guest/apparmor.profile"

    def make(result, scratch):
        unpack("apparmor", scratch / "root", scratch)
        command(scratch / "root/sbin/apparmor_parser", "--skip-kernel-load", "--skip-cache", "--ofile", result,
                "--features-file", scratch / "root/etc/apparmor.d/abi/3.0",
                "--base", scratch / "root/etc/apparmor.d", source)
    return made_once(CACHE / f"apparmor-{digest(source.read_text())}.bin", make)


def mirror():
    """Where apt has the suite from."""
    for line in command("apt-get", "indextargets", "--format", "$(SUITE) $(COMPONENT) $(SITE) $(REPO_URI)").stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[0] in (SUITE, "stable") and words[1] == "main":
            return words[3]
    return "http://deb.debian.org/debian"


def disk(more=(), size=DISK_SIZE):
    """An ext4 image of Debian with systemd as init, and with more packages.  No password, no network, no getty."""
    packages = (*DISK_PACKAGES, *more)
    service = HERE / "guest/casco-tests.service"

    def make(result, scratch):
        root = scratch / "root"
        command("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, root, mirror())
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        shutil.rmtree(root / "usr/share/doc", ignore_errors=True)
        (root / "etc/fstab").write_text("")
        (root / "etc/hostname").write_text("vm\n")
        with open(root / "etc/passwd", "a", encoding="ascii") as f:
            f.write("user:x:1000:1000::/home/user:/bin/sh\n")
        with open(root / "etc/shadow", "a", encoding="ascii") as f:
            f.write("user:!:19000::::::\n")  # or PAM knows of no account
        with open(root / "etc/group", "a", encoding="ascii") as f:
            f.write("user:x:1000:\n")
        (root / "home/user").mkdir()
        os.chown(root / "home/user", 1000, 1000)
        shutil.copy(service, root / "etc/systemd/system/casco-tests.service")
        wants = root / "etc/systemd/system/casco.target.wants"
        wants.mkdir()
        os.symlink("../casco-tests.service", wants / "casco-tests.service")
        (root / "etc/systemd/system/casco.target").write_text(
            "[Unit]\nDescription=what the tests need\nRequires=basic.target\nAfter=basic.target\n"
            "Wants=systemd-logind.service dbus.service\n")
        os.symlink("casco.target", root / "etc/systemd/system/default.target")
        for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
                     "fstrim.timer", "systemd-timesyncd.service", "systemd-pstore.service"):
            with_mask = root / "etc/systemd/system" / unit
            with_mask.unlink(missing_ok=True)
            os.symlink("/dev/null", with_mask)
        command("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, result, size)
    recipe = digest(SUITE, *packages, size, service.read_text(), pathlib.Path(__file__).read_text())
    return made_once(CACHE / f"disk-{recipe}.ext4", make)


def files_of(programs, folders, size="160M"):
    """An ext4 image of programs of this machine at their places, with the libraries that they need, and of folders."""
    paths = []
    for name in programs:
        found = shutil.which(name, path="/usr/sbin:/usr/bin")
        if not found:
            raise Missing(f"{name} is not installed")
        paths.append(found)
        words = subprocess.run(["ldd", found], capture_output=True, text=True, check=False).stdout.split()
        paths += [w for w in words if w.startswith("/")]
    paths = sorted(set(paths))

    def make(result, scratch):
        for path in [*paths, *folders]:
            real = os.path.realpath(os.path.dirname(path)) if path.startswith("/usr") else os.path.dirname(path)
            target = scratch / f"root{real}/{os.path.basename(path)}"
            target.parent.mkdir(parents=True, exist_ok=True)
            command("cp", "-aL", path, target)  # with the set-user-id bits
        command("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", scratch / "root", result, size)
    stamps = [f"{p} {os.stat(p).st_mtime_ns} {os.stat(p).st_size}" for p in [*paths, *folders]]
    return made_once(CACHE / f"files-{digest(*stamps, size)}.ext4", make)


# --- cpio ----------------------------------------------------------------------------------------

class Cpio:
    """An archive in the kernel's initramfs format ("newc"), in memory."""

    def __init__(self):
        self.out = bytearray()
        self.folders = set()

    def entry(self, name, mode, data=b""):
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        self.out += b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        self.out += b"\0" * (-len(self.out) % 4) + data
        self.out += b"\0" * (-len(self.out) % 4)

    def folder(self, name):
        parts = name.split("/")
        for i in range(1, len(parts) + 1):
            path = "/".join(parts[:i])
            if path and path not in self.folders:
                self.folders.add(path)
                self.entry(path, stat.S_IFDIR | 0o755)

    def bytes(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        self.entry(name, stat.S_IFREG | mode, data)

    def file(self, name, source):
        source = pathlib.Path(source)
        self.bytes(name, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def done(self):
        self.entry("TRAILER!!!", 0)
        self.out += b"\0" * (-len(self.out) % 512)
        return bytes(self.out)
