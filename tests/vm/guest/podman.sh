# Debian's podman as a user with a cgroup of his own.  /dev/vdb has its files.
d=/sys/fs/cgroup/casco-u
image=docker.io/library/busybox:latest

# /casco-u is the user's, and he is in it: who moves a process needs both places to be below one that is his.
begin() {
	local f
	echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $d/shell
	for f in $d $d/cgroup.procs $d/cgroup.subtree_control $d/cgroup.threads $d/shell $d/shell/cgroup.procs; do
		chown 1000:1000 $f
	done
	echo $$ >$d/shell/cgroup.procs
	trap finish EXIT
	[ -d /podman ] && return
	mkdir -p /podman /usr /lib /lib64 /etc/containers /run/user/1000 /var/tmp
	mount -t ext4 /dev/vdb /podman
	for f in usr lib lib64 etc/containers; do
		mount --bind /podman/$f /$f
	done
	chown 1000:1000 /run/user/1000
	chmod 1777 /var/tmp
	mount -t tmpfs -o mode=1777 shm /dev/shm
	mount --make-rshared /
	echo user:200000:65536 | tee /etc/subuid >/etc/subgid
	cat >/run/user/1000/containers.conf <<-END
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		[containers]
		seccomp_profile = ""
	END
}

podman() {
	su user -c "cd; XDG_RUNTIME_DIR=/run/user/1000 CONTAINERS_CONF=/run/user/1000/containers.conf exec \
		/usr/bin/podman --storage-driver vfs --runtime $runtime $*"
}

finish() {
	podman rm -f -t 0 $name >/dev/null || :
	echo $$ >/sys/fs/cgroup/cgroup.procs
	echo 1 >$d/cgroup.kill # the process that keeps the user's namespaces for podman
	wait_for grep -q '^populated 0$' $d/cgroup.events
	for f in $(find $d -depth -type d); do
		rmdir "$f"
	done
}

# One container's life with limits.  $runtime makes it.
life() {
	begin
	podman image exists $image || podman load -q -i /casco/busybox.tar >/dev/null
	podman run -d --name $name --network none --security-opt seccomp=unconfined --cgroup-parent /casco-u/pod \
		--memory 64m --cpus 0.5 --pids-limit 50 $image sleep 1000 >/dev/null
	c=$(echo $d/pod/libpod-*)
	[ ! -d "$c/container" ] || c=$c/container
	file_is $c/memory.max 67108864
	file_is $c/cpu.max '50000 100000'
	file_is $c/pids.max 50
	has "the figures" "$(podman stats --no-stream --format '{{.PIDs}}:{{.MemUsage}}' $name)" ' / 67.11MB'
	podman update --memory 96m --cpus 1 $name >/dev/null
	file_is $c/memory.max 100663296
	file_is $c/cpu.max '100000 100000'
	file_is $c/pids.max 50
	podman pause $name >/dev/null
	grep -q '^frozen 1$' $c/cgroup.events
	is "its state" "$(podman inspect -f {{.State.Status}} $name)" paused
	podman unpause $name >/dev/null
	grep -q '^frozen 0$' $c/cgroup.events
	is "what it runs" "$(podman exec $name id -u)" 0
}

test_podman_of_a_user_limits_stats_update_pause() {
	name=ours runtime=/casco/bin/runc
	life
}

# The same with the peer: what it can't do either would be said here, by its name.
test_podman_of_a_user_with_debians_runc() {
	name=theirs runtime=/usr/sbin/runc
	life
}
