#!/bin/sh
# deps.sh SET...: installs the Debian packages of each set (build, test, parity), if any is missing.
set -eu

build="gcc make meson ninja-build pkg-config protobuf-c-compiler protobuf-compiler
libprotobuf-c-dev libnghttp2-dev liblmdb-dev libjson-c-dev libseccomp-dev libcap-dev
libcurl4-openssl-dev libssl-dev libisal-dev libzstd-dev zlib1g-dev libsystemd-dev libyaml-dev
musl-dev libmd-dev libc6-dev linux-libc-dev python3 busybox-static ca-certificates"

# Peers (runc, containerd with ctr, podman) start no service: their tests run them privately.
# qemu boots the machines of tests/vm, whose kernel and systemd are fetched and not installed.
test="clang clang-format-14 clang-tidy-14 libclang-rt-14-dev codespell git runc containerd podman
docker.io buildah conmon criu crun uidmap docker-registry debootstrap zstd openssl iproute2 procps util-linux nghttp2-client
python3-grpcio containernetworking-plugins iptables qemu-system-x86 e2fsprogs btrfs-progs erofs-utils"

# runc's own tests on Debian's runc and on ours (make parity): its source is unpacked with dpkg-dev, its
# helpers are built with Debian's Go, its tests use the rest.
parity="runc bats gawk jq criu gcc libc6-dev libseccomp-dev pkg-config busybox-static debootstrap util-linux procps
dpkg-dev golang-go golang-dbus-dev golang-github-cilium-ebpf-dev golang-github-containerd-console-dev
golang-github-coreos-go-systemd-dev golang-github-cyphar-filepath-securejoin-dev golang-github-moby-sys-dev
golang-github-opencontainers-specs-dev
golang-github-seccomp-libseccomp-golang-dev golang-github-sirupsen-logrus-dev golang-github-urfave-cli-dev
golang-golang-x-sys-dev"

want=""
for set in "$@"; do
	case $set in
	build) want="$want $build" ;;
	test) want="$want $test" ;;
	parity) want="$want $parity" ;;
	*) echo "deps.sh: unknown set $set" >&2 && exit 2 ;;
	esac
done

missing=""
for p in $want; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages:$missing" >&2
	echo "install them as root: sudo make deps" >&2
	exit 1
fi

# A service that a package brings must not start by being installed.
policy=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made=yes
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing
