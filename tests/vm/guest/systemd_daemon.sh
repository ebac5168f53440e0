# The daemon's containers in units of systemd: the shim's SystemdCgroup.
. /casco/tests/systemd.inc

begin() {
	containerd >/tmp/containerd.log 2>&1 &
	daemon=$!
	wait_for sh -c 'ctr version >/dev/null 2>&1'
	ctr images import /casco/share/busybox.tar >/dev/null
}

test_ctr_with_systemd_cgroup() {
	begin
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

# Everything that the profile denies is nothing that a privileged container would be denied without it.
test_the_default_apparmor_profile() {
	[ -e /sys/kernel/security/apparmor/profiles ] || skip "this kernel has no AppArmor"
	tar -C / -xzf /casco/apparmor.tar.gz
	begin
	image=docker.io/library/busybox:latest
	try() { ctr task exec --exec-id e "$@"; }
	knob=/proc/sys/kernel/core_pattern
	tries="mkdir -p /m && mount -t tmpfs none /m && umount /m
cat $knob >/tmp/was && cat /tmp/was >$knob
head -c 1 /proc/kcore >/dev/null
cat /proc/sys/kernel/shm_rmid_forced >/tmp/was && cat /tmp/was >/proc/sys/kernel/shm_rmid_forced
echo fine >/tmp/file && grep fine /tmp/file && kill -0 1"
	ctr run -d --privileged $image free sleep 1000 || fail "$(tail -n 20 /tmp/containerd.log)"
	ctr run -d --privileged --apparmor-default-profile casco-default $image bound sleep 1000 ||
		fail "$(tail -n 20 /tmp/containerd.log)"
	grep -q '^casco-default (enforce)' /sys/kernel/security/apparmor/profiles || fail "it is not loaded"
	is "its label" "$(try bound cat /proc/self/attr/current)" "casco-default (enforce)"
	is "another's" "$(try free cat /proc/self/attr/current)" unconfined
	said=
	echo "$tries" >/tmp/tries
	while read -r line; do
		try free sh -c "$line" >/dev/null 2>&1 </dev/null || fail "without a profile: $line"
		if try bound sh -c "$line" >/dev/null 2>&1 </dev/null; then said="$said yes"; else said="$said no"; fi
	done </tmp/tries
	is "what it may" "$said" " no no no yes yes"
	for c in free bound; do
		ctr task kill -s KILL $c
		wait_for sh -c "ctr task list | grep $c | grep -q STOPPED"
		ctr task delete $c
		ctr container delete $c
	done
	kill $daemon
}
