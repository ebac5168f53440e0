# The daemon's containers in units of systemd: the shim's SystemdCgroup.
. /casco/tests/systemd.inc

test_ctr_with_systemd_cgroup() {
	containerd >/tmp/containerd.log 2>&1 &
	daemon=$!
	wait_for sh -c 'ctr version >/dev/null 2>&1'
	ctr images import /casco/share/busybox.tar >/dev/null
	ctr run -d --runc-systemd-cgroup --cgroup casco.slice:ctr:box --memory-limit 67108864 \
		docker.io/library/busybox:latest box sleep 1000 || fail "$(tail -n 20 /tmp/containerd.log)"
	property_is ctr-box.scope Slice casco.slice
	property_is ctr-box.scope MemoryMax 67108864
	file_is /sys/fs/cgroup/casco.slice/ctr-box.scope/memory.max 67108864
	ctr task exec --exec-id e box true
	ctr task kill -s KILL box
	wait_for sh -c 'ctr task list | grep -q STOPPED'
	ctr task delete box
	ctr container delete box
	no_unit ctr-box.scope
	no_dir /sys/fs/cgroup/casco.slice/ctr-box.scope
	systemctl stop casco.slice
	kill $daemon
}
