# The systemd driver, against Debian's systemd as the first process: what differs between layouts.
. /casco/tests/systemd.inc

test_a_scope_by_default() {
	spec sleep 1000
	start casco1
	property_is runc-casco1.scope ActiveState active
	property_is runc-casco1.scope Slice system.slice
	property_is runc-casco1.scope Delegate yes
	property_is runc-casco1.scope DefaultDependencies no
	property_is runc-casco1.scope Description 'libcontainer container casco1'
	property_is runc-casco1.scope DevicePolicy strict
	property_is runc-casco1.scope TasksAccounting yes
	property_is runc-casco1.scope MemoryAccounting yes
	file_is $top/system.slice/runc-casco1.scope/cgroup.procs "$(pid_of casco1)"
	remove casco1
	no_unit runc-casco1.scope
	no_dir $top/system.slice/runc-casco1.scope
}

test_slice_prefix_and_name() {
	path=casco-inner-most.slice:pre:box
	spec sleep 1000
	start casco2
	property_is pre-box.scope Slice casco-inner-most.slice
	property_is pre-box.scope ActiveState active
	dir=$top/casco.slice/casco-inner.slice/casco-inner-most.slice/pre-box.scope
	file_is $dir/cgroup.procs "$(pid_of casco2)"
	remove casco2
	no_unit pre-box.scope
	no_dir $dir
	systemctl stop casco.slice
	# v1's hierarchies that systemd does not manage keep the slices, as they do with runc
	find /sys/fs/cgroup -depth -type d -path '*/casco.slice*' -exec rmdir {} \;
}

test_limits_are_properties_and_files() {
	resources='"memory": {"limit": 67108864, "reservation": 33554432}, "pids": {"limit": 50},
		"cpu": {"shares": 1024, "quota": 50001, "period": 100000, "cpus": "0-1", "mems": "0"}'
	spec sleep 1000
	start casco3
	unit=runc-casco3.scope
	dir=system.slice/$unit
	property_is $unit TasksMax 50
	property_is $unit CPUQuotaPerSecUSec 510ms
	property_is $unit AllowedCPUs '0-1'
	property_is $unit AllowedMemoryNodes 0
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		property_is $unit MemoryMax 67108864
		property_is $unit MemoryLow 33554432
		property_is $unit CPUWeight 100
		file_is $top/$dir/memory.max 67108864
		file_is $top/$dir/memory.low 33554432
		file_is $top/$dir/cpu.max '51000 100000'
		file_is $top/$dir/cpuset.cpus 0-1
	else
		property_is $unit MemoryLimit 67108864
		property_is $unit CPUShares 1024
		file_is /sys/fs/cgroup/memory/$dir/memory.limit_in_bytes 67108864
		file_is /sys/fs/cgroup/cpu/$dir/cpu.cfs_quota_us 51000
		file_is /sys/fs/cgroup/cpuset/$dir/cpuset.cpus 0-1
	fi
	file_is $top/$dir/pids.max 50
	remove casco3
	no_unit $unit
}

test_update_changes_unit_and_files() {
	$runc help update >/dev/null 2>&1 || skip "this runc has no update"
	resources='"pids": {"limit": 33}'
	spec sleep 1000
	start casco5
	echo '{"pids": {"limit": 44}, "memory": {"limit": 50331648}, "cpu": {"quota": 20000, "period": 50000}}' |
		$runc update -r - casco5
	property_is runc-casco5.scope TasksMax 44
	property_is runc-casco5.scope CPUQuotaPerSecUSec 400ms
	property_is runc-casco5.scope CPUQuotaPeriodUSec 50ms
	file_is $top/system.slice/runc-casco5.scope/pids.max 44
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		property_is runc-casco5.scope MemoryMax 50331648
		file_is $top/system.slice/runc-casco5.scope/cpu.max '20000 50000'
	fi
	remove casco5
}

test_exec_kill_and_freeze() {
	spec sleep 1000
	start casco8
	dir=$top/system.slice/runc-casco8.scope
	$runc exec -d casco8 sleep 999
	wait_for sh -c "[ \$(grep -c . $dir/cgroup.procs) = 2 ]"
	$runc pause casco8
	is status "$(status casco8)" paused
	$runc resume casco8
	$runc kill casco8 KILL
	wait_for sh -c "$runc state casco8 | grep -q stopped"
	$runc delete casco8
	no_unit runc-casco8.scope
}

test_devices_are_filtered_by_both() {
	process='"capabilities": {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}'
	resources='"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "access": "rwm"}]'
	spec sh -c 'mknod /dev/m c 1 1 && (: </dev/m) 2>/dev/null && exit 3; head -c 9 /dev/urandom >/dev/null && echo x >/dev/null && sleep 1000'
	start casco15
	has DeviceAllow "$(property runc-casco15.scope DeviceAllow)" '/dev/char/1:3 rwm'
	has DeviceAllow "$(property runc-casco15.scope DeviceAllow)" 'char-misc rwm'
	has DeviceAllow "$(property runc-casco15.scope DeviceAllow)" 'char-* m'
	is status "$(status casco15)" running
	remove casco15
}
