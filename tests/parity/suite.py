"""runc's own integration tests, as Debian's source package has them, made ready in the build folder.

Nothing of the suite is in this tree: apt fetches the source of the installed runc, the suite's three
helpers are built from it with Debian's Go, and its two images are made here and not downloaded."""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(TOP / folder) for folder in ("tests/integration", "tests/vm", "tools")]

import images  # tests/vm: what is made once and kept in the build folder
import mkimage  # tools: the busybox image
from casco import BIN

CACHE = BIN.parent / "parity"
HELPERS = ("recvtty", "sd-helper", "seccompagent")
GO_PATH = "github.com/opencontainers/runc"


def installed_version():
    return images.command("dpkg-query", "-W", "-f", "${source:Version}", "runc").stdout.strip()


def source_lines():
    """A deb-src line for every place apt has packages from; the host's own lists stay as they are."""
    targets = images.command("apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(CODENAME) $(COMPONENT)",
                             "Created-By: Packages").stdout.splitlines()
    lines = list(dict.fromkeys(f"deb-src {' '.join(t.split()[1:])}" for t in targets if len(t.split()) == 4))
    if not lines:
        raise images.Missing("apt knows no place that has packages")
    return lines


def unpack_source(result, scratch):
    apt = scratch / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "sources.list").write_text("\n".join(source_lines()) + "\n")
    private = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={apt}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={apt}/lists", "-o", f"Dir::Cache={apt}/cache", "-o", "APT::Sandbox::User=root"]
    images.command(*private, "update", cwd=scratch)
    images.command(*private, "source", f"runc={installed_version()}", cwd=scratch)
    os.rename(next(p for p in scratch.glob("runc-*") if p.is_dir()), result)


def build_helpers(source, scratch):
    """With Debian's Go and its libraries alone: no module is downloaded."""
    place = scratch / "go/src" / GO_PATH
    place.parent.mkdir(parents=True)
    place.symlink_to(source)
    env = dict(os.environ, GOPATH=f"{scratch}/go:/usr/share/gocode", GO111MODULE="off", GOFLAGS="", GOCACHE=str(scratch / "cache"))
    for name in HELPERS:
        images.command("go", "build", "-tags", "seccomp", "-o", source / "contrib/cmd" / name / name,
                       f"{GO_PATH}/contrib/cmd/{name}", cwd=place, env=env)


def busybox_image(result):
    """Without /proc and /sys, as the image is that the suite would download: a runtime makes them."""
    layer = result.with_suffix(".layer")
    layer.write_bytes(mkimage.rootfs_layer("/bin/busybox"))
    with tarfile.open(layer) as whole, tarfile.open(result, "w") as out:
        for member in whole:
            if member.name not in ("proc", "sys"):
                out.addfile(member, whole.extractfile(member) if member.isreg() else None)
    layer.unlink()


def debian_image(result, scratch):
    root = scratch / "debian"
    images.command("debootstrap", "--variant=minbase", images.SUITE, root, images.mirror())
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    images.command("tar", "-C", root, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "-cf", result, ".")


def prepared():
    """The folder of the unpacked source, with helpers and images in it."""
    for program in ("go", "bats", "gawk", "jq", "debootstrap"):
        if not shutil.which(program):
            raise images.Missing(f"{program} is not installed (tools/deps.sh parity)")
    arch = images.command("go", "env", "GOARCH").stdout.strip()

    def make(result, scratch):
        unpack_source(result, scratch)
        build_helpers(result, scratch)
        testdata = result / "tests/integration/testdata"
        # The names that get-images.sh looks for before it downloads; tar looks at the content.
        busybox_image(testdata / f"busybox-{arch}.tar.xz")
        debian_image(testdata / f"debian-{arch}.tar.xz", scratch)
    # "~" and "+" are of Debian's version and not of Go's paths.
    name = f"runc-{images.digest(installed_version(), pathlib.Path(__file__).read_text())}"
    return images.made_once(CACHE / name, make)


def files(source):
    return sorted(source.glob("tests/integration/*.bats"))


def test_names(path):
    """What bats calls a file's tests, in its order."""
    return [line.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"').replace("\\$", "$").replace("\\\\", "\\")
            for line in path.read_text().splitlines() if line.startswith('@test "')]


if __name__ == "__main__":
    try:
        print(prepared())
    except images.Missing as e:
        raise SystemExit(f"suite.py: {e}") from e
    except subprocess.SubprocessError as e:
        raise SystemExit(f"suite.py: {e}") from e
