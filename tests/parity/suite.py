"""runc's own integration tests, as a Debian source package has them, made ready in the build folder.

Nothing of the suite is in this tree.  Without a release, apt fetches the source of the installed runc, and
the suite's helpers are built with the Go that is installed.  With a release (`sid`), all of it happens in a
Debian of that release, which is made for it and removed; there runc is built, too, from the same source
and without shared libraries, so that it runs here: the peer of that release.  The suite's two images are
made here and not downloaded."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(TOP / folder) for folder in ("tests/integration", "tests/vm", "tools")]

import images  # tests/vm: what is made once and kept in the build folder
import mkimage  # tools: the busybox image
from casco import BIN

CACHE = BIN.parent / "parity"
GO_PATH = "github.com/opencontainers/runc"
# Where the suite's helpers are since 1.2, and where its tests look for them, else what there was before.
NEW_HELPERS, NEW_BIN = "tests/cmd", "tests/cmd/_bin"
OLD_HELPERS = ("contrib/cmd/recvtty", "contrib/cmd/sd-helper", "contrib/cmd/seccompagent")
PEER = "peer-runc"  # in the source's folder, where there is a release


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
    for helper in helpers(source):
        images.command("go", "build", "-tags", "seccomp", "-o", helper_binary(source, helper), f"{GO_PATH}/{helper}",
                       cwd=place, env=env)


def helpers(source):
    return sorted(f"{NEW_HELPERS}/{p.parent.name}" for p in source.glob(f"{NEW_HELPERS}/*/*.go")) or OLD_HELPERS


def helper_binary(source, helper):
    name = os.path.basename(helper)
    return source / NEW_BIN / name if helper.startswith(NEW_HELPERS) else source / helper / name


# In the chroot: static, as it has another libc than the machine that tests.
RELEASE_BUILD = """
mount -t proc proc /proc
export GOPATH=/build/go:/usr/share/gocode GO111MODULE=off GOFLAGS= GOCACHE=/build/cache
mkdir -p /build/go/src/github.com/opencontainers
ln -s /build/source /build/go/src/github.com/opencontainers/runc
cd /build/go/src/github.com/opencontainers/runc
build() { go build -tags "seccomp netgo osusergo" -ldflags "-extldflags -static" -o "$1" "github.com/opencontainers/runc$2"; }
build "$PEER" ""
for helper in $HELPERS; do build "$BIN/${helper##*/}" "/$helper"; done
"""


def build_in(root, words, **env):
    """A shell script in a chroot, in a mount namespace of its own."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **env}
    return images.command("unshare", "-m", "--propagation", "private", "chroot", root, "sh", "-euc", words, env=env, timeout=1500)


@contextlib.contextmanager
def release_root(release):
    """A Debian of a release, with sources in its apt lists; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".root-", dir=CACHE) as scratch:
        root, mirror = pathlib.Path(scratch) / "root", images.mirror()
        images.command("debootstrap", "--variant=minbase", release, root, mirror)
        (root / "etc/apt/sources.list").write_text("".join(f"{kind} {mirror} {release} main\n" for kind in ("deb", "deb-src")))
        shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)  # this machine's proxy and the like
        yield root


def release_source(release, result):
    with release_root(release) as root:
        build_in(root, "mount -t proc proc /proc; mkdir /build; cd /build; apt-get -qq update; apt-get -qq -y --no-install-recommends "
                       "install dpkg-dev gcc libc6-dev; apt-get -qq -y --no-install-recommends build-dep runc; apt-get -qq source "
                       "runc; mv runc-*/ source")
        source = root / "build/source"
        build_in(root, RELEASE_BUILD, PEER=PEER, BIN=NEW_BIN, HELPERS=" ".join(helpers(source)))
        os.rename(source, result)


def busybox_image(result):
    """Without /proc and /sys, as the image is that the suite would download: a runtime makes them."""
    layer = result.with_suffix(".layer")
    layer.write_bytes(mkimage.rootfs_layer("/bin/busybox"))
    with tarfile.open(layer) as whole, tarfile.open(result, "w") as out:
        for member in whole:
            if member.name not in ("proc", "sys"):
                out.addfile(member, whole.extractfile(member) if member.isreg() else None)
    layer.unlink()


# What no test runs or reads: three quarters of the files, which many tests unpack anew.
UNUSED = ("./dev/*", "./proc/*", "./sys/*", "./usr/share/*", "./var/cache/*", "./var/lib/apt/*", "./var/lib/dpkg/*",
          "./usr/lib/apt/*", "./usr/lib/*/perl*", "./usr/lib/*/gconv/*")


def debian_image(result, scratch):
    root = scratch / "debian"
    images.command("debootstrap", "--variant=minbase", images.SUITE, root, images.mirror())
    images.command("tar", "-C", root, *(f"--exclude={pattern}" for pattern in UNUSED), "-cf", result, ".")


def prepared(release=None):
    """The folder of the unpacked source, with helpers and images in it, and the peer where a release is named."""
    for program in ("go", "bats", "gawk", "jq", "debootstrap"):
        if not shutil.which(program):
            raise images.Missing(f"{program} is not installed (tools/deps.sh parity)")
    arch = images.command("go", "env", "GOARCH").stdout.strip()

    def make(result, scratch):
        if release:
            release_source(release, result)
        else:
            unpack_source(result, scratch)
            build_helpers(result, scratch)
        testdata = result / "tests/integration/testdata"
        # The names that get-images.sh looks for before it downloads; tar looks at the content.
        busybox_image(testdata / f"busybox-{arch}.tar.xz")
        debian_image(testdata / f"debian-{arch}.tar.xz", scratch)
    # "~" and "+" are of Debian's version and not of Go's paths.
    name = f"runc-{images.digest(release or installed_version(), pathlib.Path(__file__).read_text())}"
    return images.made_once(CACHE / name, make)


def files(source):
    return sorted(source.glob("tests/integration/*.bats"))


def test_names(path):
    """What bats calls a file's tests, in its order."""
    return [line.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"').replace("\\$", "$").replace("\\\\", "\\")
            for line in path.read_text().splitlines() if line.startswith('@test "')]


if __name__ == "__main__":
    try:
        print(prepared(*sys.argv[1:2]))
    except images.Missing as e:
        raise SystemExit(f"suite.py: {e}") from e
    except subprocess.SubprocessError as e:
        raise SystemExit(f"suite.py: {e}") from e
