# As an unprivileged user, with the user's own id mapped and nothing else.
namespaces='{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"}'
linux='"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
	"gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]'
as_user() { su user -c "$*"; }
user_runc='runc --root /tmp/user-state'

test_rootless_without_a_delegated_cgroup() {
	spec id -u
	is "the output" "$(as_user $user_runc run -b $bundle c 2>&1)" 0
	[ ! -e /tmp/user-state/c ]
}

test_rootless_limits_need_a_delegated_cgroup() {
	path=/casco-u/c
	resources='"memory": {"limit": 67108864}'
	spec true
	denied 'unable to apply cgroup configuration' as_user $user_runc run -b $bundle c
	[ ! -e /tmp/user-state/c ]
}

test_rootless_in_a_delegated_cgroup() {
	d=/sys/fs/cgroup/casco-u
	echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
	mkdir $d $d/shell
	chown 1000:1000 $d $d/cgroup.procs $d/cgroup.subtree_control $d/cgroup.threads $d/shell $d/shell/cgroup.procs
	path=/casco-u/c
	resources='"memory": {"limit": 67108864}, "pids": {"limit": 20}'
	spec sleep 1000
	# whoever moves processes needs the right to the cgroup that both places have in common
	sh -c "echo \$\$ >$d/shell/cgroup.procs; exec su user -c '$user_runc run -d -b $bundle c </dev/null >/tmp/user.out 2>&1'" ||
		fail "$(cat /tmp/user.out)"
	file_is $d/c/memory.max 67108864
	file_is $d/c/pids.max 20
	grep -q . $d/c/cgroup.procs
	is "the user inside" "$(as_user $user_runc exec c id -u 2>&1)" 0
	as_user $user_runc pause c
	grep -q '^frozen 1$' $d/c/cgroup.events
	as_user $user_runc resume c
	as_user $user_runc delete -f c
	[ ! -e $d/c ]
	rmdir $d/shell $d
}

test_rootless_needs_a_user_namespace() {
	namespaces='{"type":"pid"},{"type":"mount"},{"type":"uts"}'
	linux=
	spec true
	denied 'rootless container requires user namespaces' as_user $user_runc run -b $bundle c
}

# Only newgidmap, which is setuid, may leave setgroups(2) allowed.
test_rootless_has_no_groups_to_give() {
	process='"user": {"uid": 0, "gid": 0, "additionalGids": [7]}'
	spec true
	denied 'cannot set any additional groups in a rootless container' as_user $user_runc run -b $bundle c
	spec_text=$(sed 's/"additionalGids": \[7\]/"umask": 18/' $bundle/config.json)
	echo "$spec_text" | sed 's/"args": \["true"\]/"args": ["cat", "\/proc\/self\/setgroups"]/' >$bundle/config.json.new
	mv $bundle/config.json.new $bundle/config.json
	is "setgroups inside" "$(as_user $user_runc run -b $bundle c 2>&1)" deny
}
