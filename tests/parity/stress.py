#!/usr/bin/env python3
"""Build containerd-stress, the original's own load program, which no Debian package has.

    tests/parity/stress.py [--release sid] [--root FOLDER] PROGRAM

Its source comes from Debian's source package of containerd at run time (only the upstream part of it), its
libraries from Debian's packages of Go sources; no module is downloaded.  This happens in a Debian of that
release, made for it and removed, or in the one that is in FOLDER.  PROGRAM is static.  tests/integration/
test_stress.py and bench/run.py find it in the folder that CASCO_PEER names, and in PATH."""
import argparse
import pathlib
import shutil
import subprocess
import sys

import suite  # makes the import folders known, too
import images

# The program insists on 100000 open files and a machine may grant fewer, far more than it uses: it keeps those it has.
LIMIT = "package main\n\nfunc setRlimit() error { return nil }\n"
PACKAGE = "github.com/containerd/containerd/v2"
BUILD = """
mount -t proc proc /proc
rm -rf /build/stress
mkdir -p /build/stress/go/src/$(dirname $PACKAGE)
cd /build/stress
apt-get -qq update
apt-get -qq -y --no-install-recommends install dpkg-dev golang-go golang-github-containerd-containerd-dev >&2
apt-get -qq source --download-only --tar-only containerd
mkdir source
tar -x -f containerd_*.orig.tar.* -C source --strip-components 1
mv source go/src/$PACKAGE
printf '%s' "$LIMIT" >limit.go
main=$PWD/go/src/$PACKAGE/cmd/containerd-stress
printf '{"Replace": {"%s": "%s"}}' $main/rlimit_unix.go $PWD/limit.go >overlay
export GOPATH=$PWD/go:/usr/share/gocode GO111MODULE=off GOFLAGS= GOCACHE=$PWD/cache CGO_ENABLED=0
go build -ldflags "-s -w" -overlay overlay -o containerd-stress $PACKAGE/cmd/containerd-stress
rm -rf cache go
"""


def build(root, program):
    suite.build_in(root, BUILD, PACKAGE=PACKAGE, LIMIT=LIMIT)
    shutil.copy2(root / "build/stress/containerd-stress", program)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--release", default="sid", help="the Debian release (default: sid)")
    p.add_argument("--root", type=pathlib.Path, help="a folder with a Debian, with deb-src lines in its sources")
    p.add_argument("program", type=pathlib.Path)
    options = p.parse_args()
    try:
        if options.root:
            build(options.root, options.program)
            return
        suite.CACHE.mkdir(parents=True, exist_ok=True)
        with suite.release_root(options.release) as root:
            build(root, options.program)
    except images.Missing as e:
        sys.exit(f"stress.py: {e}")
    except subprocess.SubprocessError as e:
        sys.exit(f"stress.py: {e}")


if __name__ == "__main__":
    main()
