# Pure cgroup v2 with every controller, driven through files.
cg=/sys/fs/cgroup/casco-a/c
path=/casco-a/c
gone() { [ ! -e $cg ] || fail "$cg is still there"; rmdir /sys/fs/cgroup/casco-a; }

test_limits_are_in_the_files() {
	dev=$(cat /sys/block/vda/dev)
	resources='"memory": {"limit": 67108864, "swap": 100663296, "reservation": 33554432},
		"cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"}, "pids": {"limit": 50},
		"blockIO": {"throttleReadBpsDevice": [{"major": '${dev%:*}', "minor": '${dev#*:}', "rate": 1048576}],
			"throttleWriteIOPSDevice": [{"major": '${dev%:*}', "minor": '${dev#*:}', "rate": 30}]},
		"unified": {"memory.high": "50331648"}'
	spec sleep 1000
	start
	file_is $cg/memory.max 67108864
	file_is $cg/memory.low 33554432
	file_is $cg/memory.high 50331648
	[ ! -e $cg/memory.swap.max ] || file_is $cg/memory.swap.max 33554432
	file_is $cg/cpu.weight 100
	file_is $cg/cpu.max '50000 100000'
	file_is $cg/cpuset.cpus 0-1
	file_is $cg/pids.max 50
	file_is $cg/io.max "$dev rbps=1048576 wbps=max riops=max wiops=30"
	file_is $cg/cgroup.procs "$(pid_of c)"
	remove
	gone
}

test_the_pids_limit_holds() {
	resources='"pids": {"limit": 4}'
	spec sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait'
	text=$($runc run -b $bundle c 2>&1) && fail "eight sleeps ran under a limit of four"
	has "the output" "$text" "can't fork"
	gone
}

test_the_io_limit_holds() {
	dev=$(cat /sys/block/vda/dev)
	resources='"blockIO": {"throttleReadBpsDevice": [{"major": '${dev%:*}', "minor": '${dev#*:}', "rate": 1048576}]},
		"devices": [{"allow": true, "type": "b", "major": '${dev%:*}', "minor": '${dev#*:}', "access": "r"}]'
	linux='"devices": [{"path": "/dev/disk", "type": "b", "major": '${dev%:*}', "minor": '${dev#*:}', "fileMode": 384}]'
	spec dd if=/dev/disk of=/dev/null bs=1M count=3
	echo 3 >/proc/sys/vm/drop_caches
	before=$(cut -d. -f1 /proc/uptime)
	$runc run -b $bundle c
	took=$(($(cut -d. -f1 /proc/uptime) - before))
	[ $took -ge 2 ] || fail "3 MiB at 1 MiB/s took $took s"
	gone
}

test_create_start_kill_delete() {
	spec sleep 1000
	$runc create -b $bundle c </dev/null >/tmp/out.c 2>&1
	is status "$(status c)" created
	file_is $cg/cgroup.procs "$(pid_of c)"
	$runc start c
	is status "$(status c)" running
	denied 'is not stopped: running' $runc delete c
	$runc kill c KILL
	wait_for [ "$(status c)" = stopped ] || true
	wait_for sh -c "$runc state c | grep -q stopped"
	$runc delete c
	gone
}

test_freeze_and_thaw() {
	spec sh -c 'while true; do echo; done >/dev/null'
	start
	$runc pause c
	is status "$(status c)" paused
	file_is $cg/cgroup.freeze 1
	grep -q '^frozen 1$' $cg/cgroup.events
	before=$(grep usage_usec $cg/cpu.stat)
	sleep 1
	is "the cpu time of a frozen container" "$(grep usage_usec $cg/cpu.stat)" "$before"
	denied 'paused container' $runc exec c true
	$runc resume c
	is status "$(status c)" running
	file_is $cg/cgroup.freeze 0
	remove
	gone
}

test_a_frozen_container_is_deleted() {
	spec sleep 1000
	start
	$runc pause c
	remove
	gone
}

# Without a pid namespace of their own, the kernel does not end them with the first.
test_kill_reaches_every_process() {
	namespaces='{"type":"mount"},{"type":"uts"},{"type":"cgroup"}'
	spec sh -c 'for i in 1 2 3 4 5; do (while true; do sleep 321 & wait; done) & done; wait'
	start
	wait_for sh -c "[ \$(grep -c . $cg/cgroup.procs) -ge 11 ]"
	remove
	[ -z "$(pidof sleep)" ] || fail "still there: $(ps | grep sleep)"
	gone
}

test_child_cgroups_go_too() {
	mounts='{ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] }'
	spec sh -c 'mkdir /sys/fs/cgroup/x /sys/fs/cgroup/x/y; sleep 300 & echo $! >/sys/fs/cgroup/x/y/cgroup.procs; sleep 300'
	start
	wait_for grep -q . $cg/x/y/cgroup.procs
	remove
	gone
}

test_exec_enters_the_cgroup() {
	spec sleep 1000
	start
	is "the cgroup seen from inside" "$($runc exec c cat /proc/self/cgroup)" 0::/
	$runc exec -d c sleep 999
	wait_for sh -c "[ \$(grep -c . $cg/cgroup.procs) = 2 ]"
	remove
	gone
}

test_devices_are_filtered() {
	dev=$(cat /sys/block/vda/dev)
	process='"capabilities": {"bounding": ["CAP_MKNOD", "CAP_SYS_RAWIO"], "effective": ["CAP_MKNOD", "CAP_SYS_RAWIO"],
		"permitted": ["CAP_MKNOD", "CAP_SYS_RAWIO"]}'
	resources='"devices": [{"allow": false, "access": "rwm"},
		{"allow": true, "type": "b", "major": '${dev%:*}', "minor": '${dev#*:}', "access": "r"}]'
	spec sh -c "mknod /dev/mem c 1 1 && mknod /dev/disk b ${dev%:*} ${dev#*:} || exit 2
		(: </dev/mem) 2>/dev/null && exit 3
		(: >/dev/disk) 2>/dev/null && exit 4
		head -c 512 /dev/disk >/dev/null && head -c 9 /dev/urandom >/dev/null && echo x >/dev/null && echo allowed"
	is "the output" "$($runc run -b $bundle c 2>&1)" allowed
	gone
}

test_out_of_memory_is_137() {
	resources='"memory": {"limit": 16777216, "swap": 16777216}'
	spec dd if=/dev/zero of=/dev/null bs=64M count=1
	code=0
	$runc run -b $bundle c || code=$?
	is "the exit code" $code 137
	gone
}

test_a_controller_that_is_not_there_is_named() {
	resources='"hugepageLimits": [{"pageSize": "3MB", "limit": 3145728}]'
	spec true
	denied hugetlb.3MB.max $runc run -b $bundle c
	[ ! -e $cg ]
	rmdir /sys/fs/cgroup/casco-a
}

test_apparmor_profile_is_applied() {
	[ -e /sys/kernel/security/apparmor/profiles ] || skip "this kernel has no AppArmor"
	grep -q '^casco-test ' /sys/kernel/security/apparmor/profiles ||
		cat /casco/apparmor.bin >/sys/kernel/security/apparmor/.load
	process='"apparmorProfile": "casco-test"'
	spec sh -c 'cat /proc/self/attr/current; echo fine >/tmp/open && cat /tmp/open; echo x >/tmp/secret; sleep 1000'
	start
	wait_for grep -q -i denied /tmp/container.out
	has "what it said" "$(cat /tmp/container.out)" "casco-test (enforce)
fine"
	is "the label of an exec" "$($runc exec c cat /proc/self/attr/current)" "casco-test (enforce)"
	remove
	gone
}

test_apparmor_profile_that_is_not_loaded() {
	[ -e /sys/kernel/security/apparmor/profiles ] || skip "this kernel has no AppArmor"
	process='"apparmorProfile": "casco-nowhere"'
	spec true
	denied apparmor $runc run -b $bundle c
	[ ! -e $cg ]
	rmdir /sys/fs/cgroup/casco-a
}
