#!/bin/sh
# collect.sh RELEASE BUILD: puts the programs of a meson build into BUILD/bin, stripped, and the
# embedded image beside them.
set -eu
release=$1
build=$2
mkdir -p "$build/bin" "$build/share"

for path in cmd/runc/runc cmd/shim/containerd-shim-runc-v2 cmd/containerd/containerd cmd/ctr/ctr \
	cmd/transfer/containerd-transfer; do
	from=$release/src/$path
	to=$build/bin/${path##*/}
	if [ ! -e "$from" ]; then
		echo "collect: $from was not built" >&2
		exit 1
	fi
	# A new file under a new name, renamed: a running program keeps its own copy.
	if [ ! -e "$to" ] || [ "$from" -nt "$to" ]; then
		strip -o "$to.new" "$from"
		mv "$to.new" "$to"
	fi
done

if [ ! -e "$build/share/busybox.tar" ]; then
	tools/mkimage.py --name docker.io/library/busybox:latest --busybox /bin/busybox \
		"$build/share/busybox.tar"
fi
