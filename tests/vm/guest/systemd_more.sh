# The systemd driver: names, annotations, and what goes wrong.
. /casco/tests/systemd.inc

test_bad_paths_are_refused() {
	spec true
	path=/casco/plain
	spec true
	denied 'expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/casco/plain\" instead' \
		$runc run -b $bundle c
	for slice in a--b.slice -a.slice a/b.slice .slice nothing; do
		path=$slice:a:b
		spec true
		denied "invalid slice name: $slice" $runc run -b $bundle c
	done
}

test_limits_survive_a_reload_of_systemd() {
	resources='"pids": {"limit": 33}'
	spec sleep 1000
	start casco4
	systemctl daemon-reload
	file_is $top/system.slice/runc-casco4.scope/pids.max 33
	is "an allowed device after it" "$($runc exec casco4 head -c 1 /dev/zero | wc -c)" 1
	remove casco4
	no_unit runc-casco4.scope
}

test_annotations_are_properties() {
	annotations='"org.systemd.property.TimeoutStopSec": "uint32 17", "org.systemd.property.CollectMode": "'"'inactive-or-failed'"'",
		"org.systemd.property.Description": "\"mine\"", "other": "x"'
	spec sleep 1000
	start casco6
	property_is runc-casco6.scope TimeoutStopUSec 17s
	property_is runc-casco6.scope CollectMode inactive-or-failed
	property_is runc-casco6.scope Description mine
	remove casco6
}

test_a_property_that_systemd_refuses() {
	annotations='"org.systemd.property.NoSuchThing": "true"'
	spec true
	denied 'unable to start unit \"runc-casco7.scope\": Cannot set property NoSuchThing' $runc run -b $bundle casco7
	no_unit runc-casco7.scope
	annotations='"org.systemd.property.X": "true"'
	spec true
	denied 'annotation org.systemd.property.X name incorrect: too short' $runc run -b $bundle casco7
	annotations='"org.systemd.property.Good": "{"'
	spec true
	denied 'value parse error: unexpected EOF' $runc run -b $bundle casco7
}

test_run_leaves_no_unit() {
	spec sh -c 'cat /proc/self/cgroup; exit 7'
	code=0
	text=$($runc run -b $bundle casco9) || code=$?
	is "the exit code" $code 7
	no_unit runc-casco9.scope
}

test_a_container_that_died_is_deleted() {
	resources='"memory": {"limit": 16777216, "swap": 16777216}'
	spec dd if=/dev/zero of=/dev/null bs=64M count=1
	$runc run -d -b $bundle casco10 </dev/null >/dev/null 2>&1 || true
	wait_for sh -c "$runc state casco10 | grep -q stopped"
	$runc delete casco10
	no_unit runc-casco10.scope
}

test_a_name_that_is_taken() {
	path=system.slice:casco:taken
	spec sleep 1000
	start casco11
	denied "container's cgroup is not empty: 1 process(es) found" $runc run -b $bundle casco12
	property_is casco-taken.scope ActiveState active
	is status "$(status casco11)" running
	[ ! -e /run/casco-test/casco12 ]
	remove casco11
	no_unit casco-taken.scope
}

test_a_failed_unit_makes_way() {
	systemd-run -q --scope --unit=runc-casco13 -p RuntimeMaxSec=1 sleep 100 || true
	property_is runc-casco13.scope ActiveState failed
	spec true
	$runc run -b $bundle casco13
	no_unit runc-casco13.scope
}

test_the_rest_of_a_failed_start_goes() {
	resources='"hugepageLimits": [{"pageSize": "3MB", "limit": 3145728}]'
	spec true
	denied hugetlb.3MB $runc run -b $bundle casco14
	no_unit runc-casco14.scope
	no_dir $top/system.slice/runc-casco14.scope
	[ ! -e /run/casco-test/casco14 ]
}

# systemd has a limit in the kernel before the files are written: the question comes before both.
test_a_limit_below_what_is_used_is_refused() {
	spec sleep 1000
	start casco15
	echo '{"memory": {"limit": 1024, "checkBeforeUpdate": true}}' >/tmp/low.json
	denied 'rejecting memory limit 1024 <= usage' $runc update -r /tmp/low.json casco15
	is status "$(status casco15)" running
	property_is runc-casco15.scope MemoryMax infinity
	remove casco15
}

test_an_idle_group_has_no_weight() {
	spec sleep 1000
	start casco16
	text=$($runc update --cpu-share 200 --cpu-idle 1 casco16 2>&1)
	has "the warning" "$text" "unable to apply both CPUWeight and CpuIdle"
	file_is $top/system.slice/runc-casco16.scope/cpu.idle 1
	$runc update --cpu-share 200 casco16
	file_is $top/system.slice/runc-casco16.scope/cpu.idle 0
	remove casco16
}

as_user() { su -s /bin/sh user -c "export XDG_RUNTIME_DIR=/run/user/1000; $*"; }
rootless_spec() {
	namespaces='{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"}'
	linux='"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
		"gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]'
	spec "$@"
}
user_runc='/casco/bin/runc --systemd-cgroup --root /tmp/user-state'

test_a_users_own_manager() {
	systemctl start user@1000.service
	wait_for [ -S /run/user/1000/bus ]
	resources='"pids": {"limit": 20}, "memory": {"limit": 67108864}'
	rootless_spec sleep 1000
	as_user $user_runc run -d -b $bundle casco20 </dev/null >/tmp/user.out 2>&1 || fail "$(cat /tmp/user.out)"
	dir=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/runc-casco20.scope
	file_is $dir/pids.max 20
	file_is $dir/memory.max 67108864
	is "TasksMax of the user's unit" "$(as_user systemctl --user show -p TasksMax --value runc-casco20.scope)" 20
	no_unit runc-casco20.scope
	is "the user inside" "$(as_user $user_runc exec casco20 id -u)" 0
	as_user $user_runc pause casco20
	grep -q '^frozen 1$' $dir/cgroup.events
	as_user $user_runc resume casco20
	as_user $user_runc delete -f casco20
	no_dir $dir
	is "the user's units" "$(as_user systemctl --user list-units --all --no-legend runc-casco20.scope)" ''
}

test_a_container_that_may_divide_its_cgroup() {
	namespaces='{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"}'
	linux='"uidMappings": [{"containerID": 0, "hostID": 70000, "size": 1000}],
		"gidMappings": [{"containerID": 0, "hostID": 70000, "size": 1000}]'
	mounts='{ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] }'
	mkdir -p /casco/rootfs/sys/fs/cgroup
	spec sh -c 'mkdir /sys/fs/cgroup/inner && echo $$ >/sys/fs/cgroup/inner/cgroup.procs && cat /proc/self/cgroup; sleep 1000'
	start casco22
	wait_for grep -q . /tmp/container.out
	is "the cgroup seen from inside" "$(cat /tmp/container.out)" 0::/inner
	is "the owner" "$(stat -c %u $top/system.slice/runc-casco22.scope)" 70000
	remove casco22
	no_dir $top/system.slice/runc-casco22.scope
}

test_a_user_without_a_manager_is_told() {
	rootless_spec true
	text=$(su -s /bin/sh user -c "unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS; $user_runc run -b $bundle casco21" 2>&1) &&
		fail "it should fail"
	has "the error" "$text" 'could not detect DBUS_SESSION_BUS_ADDRESS'
	[ ! -e /tmp/user-state/casco21 ]
}
