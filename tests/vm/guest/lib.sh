# What the test scripts share.  A test fails by a command that fails (set -e), or says why by `fail`.
bundle=/tmp/bundle
namespaces='{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"network"},{"type":"cgroup"}'
path= resources= linux= process= mounts= annotations=
runc='runc --root /run/casco-test'

fail() { echo "$*"; exit 1; }
skip() { echo "$*"; exit 77; }
is() { [ "$2" = "$3" ] || fail "$1 is \"$2\", should be \"$3\""; }
has() { case $2 in *"$3"*) ;; *) fail "$1 is \"$2\", should have \"$3\"" ;; esac; }
file_is() { is "$1" "$(cat "$1")" "$2"; }

# wait_for COMMAND…: until it succeeds, for at most ten seconds
wait_for() {
	local n=0
	until "$@"; do
		n=$((n + 1))
		[ $n -le 200 ] || fail "waited for: $*"
		sleep 0.05
	done
}

# spec ARG…: a bundle that runs a command; the rest is in the variables above, as JSON
spec() {
	local args= a
	for a; do
		args="$args${args:+, }\"$(printf %s "$a" | sed 's/[\\"]/\\&/g')\""
	done
	mkdir -p $bundle
	local more=
	[ -z "$path" ] || more=", \"cgroupsPath\": \"$path\""
	[ -z "$resources" ] || more="$more, \"resources\": { $resources }"
	cat >$bundle/config.json <<-END
	{ "ociVersion": "1.2.0", "hostname": "box",
	  "root": { "path": "/casco/rootfs", "readonly": true },
	  "process": { "args": [$args], "cwd": "/", "env": ["PATH=/bin"]${process:+, $process} },
	  "mounts": [
	    { "destination": "/proc", "type": "proc", "source": "proc" },
	    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=64k"] },
	    { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }${mounts:+, $mounts} ],
	  "annotations": { $annotations },
	  "linux": { "namespaces": [$namespaces]$more${linux:+, $linux} } }
	END
}

status() { $runc state "$1" | sed -n 's/.*"status": *"\([a-z]*\)".*/\1/p'; }
pid_of() { $runc state "$1" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'; }

# start [ID]: in the background, without a terminal
start() { $runc run -d -b $bundle "${1:-c}" </dev/null >/tmp/container.out 2>&1 || { cat /tmp/container.out; exit 1; }; }
remove() { $runc delete -f "${1:-c}"; }

# denied WORD COMMAND…: it must fail and say WORD
denied() {
	local word="$1" text
	shift
	text=$("$@" 2>&1) && fail "$* should fail"
	has "the error" "$text" "$word"
}

# What no test may leave; the runner asks after each.
leftovers() {
	local c bad=0
	for c in /run/casco-test/[!.]*; do
		[ ! -e "$c" ] || { echo "state $c"; runc --root /run/casco-test delete -f "${c##*/}"; bad=1; }
	done
	for c in $(find /sys/fs/cgroup -type d \( -name 'casco*' ! -name casco-tests.service -o -name 'runc-*' -o -name 'test-*' \)); do
		echo "cgroup $c"
		bad=1
	done
	return $bad
}
