#!/bin/sh
# demo.sh BUILD: a private daemon, the embedded image, a shell in a container, and nothing left.
# Where there is no terminal, a few commands run in the container instead.
set -eu
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$top/.run
id=demo-$$
PATH=$build/bin:$PATH
export PATH

[ "$(id -u)" -eq 0 ] || { echo "demo: containers need root: sudo make run" >&2; exit 1; }
umask 077
mkdir -p "$dir/$id"
cat >"$dir/$id/config.toml" <<EOF
version = 3
root = '$dir/$id/root'
state = '$dir/$id/state'

[grpc]
  address = '$dir/$id/containerd.sock'
EOF

if [ -t 1 ]; then
	say() { printf '\033[1m$ %s\033[0m\n' "$*"; }
else
	say() { printf '$ %s\n' "$*"; }
fi
ctr() { command ctr --address "$dir/$id/containerd.sock" --namespace "$id" "$@"; }

daemon=
finish() {
	trap - EXIT INT TERM
	if [ -n "$daemon" ]; then
		ctr tasks kill -s SIGKILL hello >/dev/null 2>&1 || :
		ctr tasks delete hello >/dev/null 2>&1 || :
		ctr containers delete hello >/dev/null 2>&1 || :
		kill "$daemon" 2>/dev/null || :
		wait "$daemon" 2>/dev/null || :
	fi
	# the namespace's own, now empty cgroup: containerd leaves these for the next container
	rmdir /sys/fs/cgroup/"$id" /sys/fs/cgroup/*/"$id" 2>/dev/null || :
	rm -rf "${dir:?}/$id"
	rmdir "$dir" 2>/dev/null || :
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

containerd --config "$dir/$id/config.toml" >"$dir/$id/log" 2>&1 &
daemon=$!
tries=0
until ctr version >/dev/null 2>&1; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
		echo "demo: containerd did not start:" >&2
		cat "$dir/$id/log" >&2
		exit 1
	fi
	sleep 0.1
done

image=docker.io/library/busybox:latest
say ctr images import busybox.tar
ctr images import "$build/share/busybox.tar"
say ctr images list
ctr images list

if [ -t 0 ] && [ -t 1 ]; then
	say "ctr run --rm -t $image hello sh      # 'exit' leaves"
	ctr run --rm -t "$image" hello sh
else
	for command in 'echo hello from a container' 'id' 'ps' 'cat /proc/self/cgroup' 'ls /'; do
		say "ctr run --rm $image hello sh -c '$command'"
		ctr run --rm "$image" hello sh -c "$command"
	done
fi
say ctr tasks list
ctr tasks list
echo "All of it is gone again.  Next: README.md, the tutorial."
