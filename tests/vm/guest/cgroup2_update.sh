# New limits, events and statistics on pure cgroup v2 with every controller.
cg=/sys/fs/cgroup/casco-u/c
path=/casco-u/c
limits='"memory": {"limit": 33554432, "reservation": 25165824}, "pids": {"limit": 20},
	"cpu": {"shares": 100, "quota": 500000, "period": 1000000}'
gone() { [ ! -e $cg ] || fail "$cg is still there"; rmdir /sys/fs/cgroup/casco-u; }
update() { $runc update "$@" c; }
document() { printf %s "$1" | $runc update -r - c; }
swap_is() { [ ! -e $cg/memory.swap.max ] || file_is $cg/memory.swap.max "$1"; }

begin() {
	resources=$limits
	spec "${@:-sleep}" 1000
	start
}

test_memory() {
	begin
	file_is $cg/memory.max 33554432
	file_is $cg/memory.low 25165824
	update --memory 50M
	file_is $cg/memory.max 52428800
	update --memory 52428800 --memory-swap 96468992
	swap_is 44040192
	update --memory-swap 60M
	swap_is 10485760
	update --memory-reservation 32m
	file_is $cg/memory.low 33554432
	denied 'memory+swap limit should be >= memory limit' update --memory-swap 10M
	update --memory -1
	file_is $cg/memory.max max
	swap_is max
	remove
	gone
}

test_cpu() {
	begin
	file_is $cg/cpu.max '500000 1000000'
	file_is $cg/cpu.weight 17
	update --cpu-period 900000
	file_is $cg/cpu.max '500000 900000'
	update --cpu-quota -1
	file_is $cg/cpu.max 'max 900000'
	update --cpu-quota 30000 --cpu-period 100000
	update --cpu-burst 20000
	file_is $cg/cpu.max.burst 20000
	update --memory 40M
	file_is $cg/cpu.max.burst 20000
	for shares in 2:1 3:2 200:29 512:59 1024:100 262144:10000; do
		update --cpu-share ${shares%:*}
		file_is $cg/cpu.weight ${shares#*:}
	done
	update --cpuset-cpus 1
	file_is $cg/cpuset.cpus 1
	denied "write $cg/cpuset.cpus: " update --cpuset-cpus 77
	denied 'realtimeRuntime is not supported on cgroup v2' update --cpu-rt-runtime 5
	remove
	gone
}

test_idle() {
	begin
	[ -e $cg/cpu.idle ] || skip "the kernel has no cpu.idle"
	for idle in 1 0 1 1; do
		update --cpu-idle $idle
		file_is $cg/cpu.idle $idle
	done
	denied "write $cg/cpu.idle: " update --cpu-idle 2
	denied "write $cg/cpu.weight: invalid argument" update --cpu-share 200
	update --cpu-idle 0
	file_is $cg/cpu.weight 17
	remove
	gone
}

test_pids() {
	begin
	file_is $cg/pids.max 20
	for pids in 10:10 -1:max 0:1; do
		update --pids-limit ${pids%:*}
		file_is $cg/pids.max ${pids#*:}
	done
	remove
	gone
}

test_io() {
	dev=$(cat /sys/block/vda/dev)
	disk='"major": '${dev%:*}', "minor": '${dev#*:}
	begin
	document '{"blockIO": {"throttleReadBpsDevice": [{'"$disk"', "rate": 10485760}],
		"throttleWriteBpsDevice": [{'"$disk"', "rate": 9437184}],
		"throttleReadIOPSDevice": [{'"$disk"', "rate": 1000}], "throttleWriteIOPSDevice": [{'"$disk"', "rate": 900}]}}'
	file_is $cg/io.max "$dev rbps=10485760 wbps=9437184 riops=1000 wiops=900"
	document '{"blockIO": {"throttleReadBpsDevice": [{'"$disk"', "rate": 0}]}}'
	file_is $cg/io.max "$dev rbps=max wbps=9437184 riops=1000 wiops=900"
	if [ -e $cg/io.bfq.weight ]; then
		update --blkio-weight 750
		file_is $cg/io.bfq.weight 'default 750'
	elif [ -e $cg/io.weight ]; then
		update --blkio-weight 750
		file_is $cg/io.weight 'default 7475'
	fi
	remove
	gone
}

test_unified() {
	begin
	document '{"unified": {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"}}'
	file_is $cg/cpu.max 'max 100000'
	file_is $cg/cpu.weight 16
	file_is $cg/pids.max 10
	denied 'must be a file name (no slashes)' document '{"unified": {"../x": "1"}}'
	denied 'not available' document '{"unified": {"memory.high": "20971520", "nope.max": "1"}}'
	file_is $cg/memory.high max
	remove
	gone
}

test_check_before_update() {
	begin
	denied 'rejecting memory limit 1024 <= usage' document '{"memory": {"limit": 1024, "checkBeforeUpdate": true}}'
	denied 'rejecting memory+swap limit 2048 <= usage' \
		document '{"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}}'
	file_is $cg/memory.max 33554432
	is status "$(status c)" running
	remove
	gone
}

test_stats() {
	begin
	stats=$($runc events --stats c)
	has "the line" "$stats" '{"type":"stats","id":"c","data":{"cpu":{"usage":{"total":'
	has "the line" "$stats" '"usage":{"limit":33554432,"usage":'
	has "the line" "$stats" '"raw":{"active_anon":'
	has "the line" "$stats" '"pids":{"current":1,"limit":20}'
	has "the line" "$stats" '"hugetlb":{'
	remove
	gone
}

test_out_of_memory_is_an_event() {
	resources='"memory": {"limit": 16777216, "swap": 16777216}'
	spec sh -c 'sleep 3; x=0123456789abcdef; while :; do x=$x$x; done'
	start
	$runc events --interval 1s c >/tmp/events 2>&1 &
	wait_for grep -q '{"type":"oom","id":"c"}' /tmp/events
	wait # its end is that of the container
	has "the events" "$(cat /tmp/events)" '"type":"stats"'
	remove
	gone
}
