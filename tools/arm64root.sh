#!/bin/sh
# arm64root.sh FOLDER: the headers and static libraries of Debian's arm64 that runc and the shim are built
# with, unpacked in FOLDER, and FOLDER/root.cross for tools/arm64.cross.  Nothing is installed, and apt's own
# lists stay as they are.
set -eu
packages="libc6 libc6-dev linux-libc-dev musl musl-dev libmd-dev libjson-c-dev libprotobuf-c-dev libseccomp-dev libssl-dev
	libnghttp2-dev liblmdb-dev libcap-dev libcurl4-openssl-dev libisal-dev libisal2 libzstd-dev zlib1g-dev libyaml-dev libsystemd-dev"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$1" "$scratch/state/lists/partial" "$scratch/cache/archives/partial" "$scratch/debs"
touch "$scratch/status"
apt() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Dir::State="$scratch/state" -o Dir::State::status="$scratch/status" -o Dir::Cache="$scratch/cache" "$@"
}
apt update
# shellcheck disable=SC2086 # a list
(cd "$scratch/debs" && apt download $packages)
for d in "$scratch"/debs/*.deb; do
	dpkg-deb -x "$d" "$1"
done
printf "[constants]\nroot = '%s'\n" "$(cd "$1" && pwd)" >"$1/root.cross"
