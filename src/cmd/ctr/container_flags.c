/* The options of `ctr run` and `ctr containers create`. */
#include "cmd/ctr/ctr.h"
#include "cmd/ctr/trace_file.h"

const struct flag snapshotter_flags[] = {
	{ "snapshotter", FLAG_STRING, NULL,
	  "snapshotter name. Empty value stands for the default value.", NULL,
	  "CONTAINERD_SNAPSHOTTER" },
	{ NULL },
};

const char *snapshotter_of(const struct args *args)
{
	const char *name = args_string(args, "snapshotter");

	return *name ? name : "overlayfs";
}

/* of what is started detached */
const struct flag log_flags[] = {
	{ "log-uri", FLAG_STRING, NULL,
	  "log uri: binary:///PROGRAM?KEY=VALUE, file:///PATH, casco-log:///FOLDER" },
	{ "log-driver", FLAG_STRING, NULL,
	  "log of a detached container, for `ctr logs`: cri, json or none", "cri" },
	{ "log-opt", FLAG_LIST, NULL,
	  "option of that log: max-size=SIZE (20m), max-file=N (5), compress=true" },
	{ NULL },
};

/* run alone */
const struct flag run_flags[] = {
	{ "rm", FLAG_BOOL, NULL,
	  "remove the container after running, cannot be used with --detach" },
	{ "null-io", FLAG_BOOL, NULL, "send all IO to /dev/null" },
	{ "detach", FLAG_BOOL, "d",
	  "detach from the task after it has started execution, cannot be used with --rm" },
	{ "fifo-dir", FLAG_STRING, NULL, "directory used for storing IO FIFOs" },
	{ "sync-fs", FLAG_BOOL, NULL,
	  "write an unpacked image to the disk before it is used: always done" },
	TRACE_FLAG,
	{ NULL },
};

/* of an image, and of the process' limits and user */
const struct flag platform_flags[] = {
	{ "cgroup", FLAG_STRING, NULL,
	  "cgroup path (To disable use of cgroup, set to \"\" explicitly)" },
	{ "platform", FLAG_STRING, NULL, "run image for specific platform" },
	{ "runc-binary", FLAG_STRING, NULL, "specify runc-compatible binary" },
	{ "runc-root", FLAG_STRING, NULL, "specify runc-compatible root" },
	{ "runc-systemd-cgroup", FLAG_BOOL, NULL, "start runc with systemd cgroup manager" },
	{ .name = "uidmap",
	  .type = FLAG_LIST,
	  .value = "container-uid:host-uid:length",
	  .help = "run inside a user namespace with the specified UID mapping range" },
	{ .name = "gidmap",
	  .type = FLAG_LIST,
	  .value = "container-gid:host-gid:length",
	  .help = "run inside a user namespace with the specified GID mapping range" },
	{ "remap-labels", FLAG_BOOL, NULL,
	  "provide the user namespace ID remapping to the snapshotter via label options" },
	{ "cpus", FLAG_FLOAT, NULL, "set the CFS cpu quota", "0" },
	{ "cpu-shares", FLAG_UINT, NULL, "set the cpu shares", "1024" },
	{ "cpuset-cpus", FLAG_STRING, NULL,
	  "set the CPUs the container will run in (e.g., 1-2,4)" },
	{ "cpuset-mems", FLAG_STRING, NULL,
	  "set the memory nodes the container will run in (e.g., 1-2,4)" },
	{ "hostname", FLAG_STRING, NULL, "set the container's host name" },
	{ NULL },
};

const struct flag container_flags[] = {
	{ "restart", FLAG_STRING, NULL,
	  "restart policy of the daemon's monitor: always, on-failure[:max], unless-stopped" },
	{ "snapshotter-label", FLAG_LIST, NULL,
	  "labels added to the new snapshot for this container." },
	{ "config", FLAG_STRING, "c", "path to the runtime-specific spec config file" },
	{ "cwd", FLAG_STRING, NULL, "specify the working directory of the process" },
	{ "env", FLAG_LIST, NULL,
	  "specify additional container environment variables (e.g. FOO=bar)" },
	{ "env-file", FLAG_LIST, NULL,
	  "specify additional container environment variables in a file(e.g. FOO=bar, one per "
	  "line)" },
	{ "label", FLAG_LIST, NULL, "specify additional labels (e.g. foo=bar)" },
	{ "annotation", FLAG_LIST, NULL, "specify additional OCI annotations (e.g. foo=bar)" },
	{ "mount", FLAG_LIST, NULL,
	  "specify additional container mount (e.g. "
	  "type=bind,src=/tmp,dst=/host,options=rbind:ro)" },
	{ "net-host", FLAG_BOOL, NULL, "enable host networking for the container" },
	{ "privileged", FLAG_BOOL, NULL, "run privileged container" },
	{ "privileged-without-host-devices", FLAG_BOOL, NULL,
	  "don't pass all host devices to privileged container" },
	{ "read-only", FLAG_BOOL, NULL, "set the containers filesystem as readonly" },
	{ "runtime", FLAG_STRING, NULL, "runtime name", "io.containerd.runc.v2" },
	{ "sandbox", FLAG_STRING, NULL, "create the container in the given sandbox" },
	{ "runtime-config-path", FLAG_STRING, NULL, "optional runtime config path" },
	{ "tty", FLAG_BOOL, "t", "allocate a TTY for the container" },
	{ "with-ns", FLAG_LIST, NULL,
	  "specify existing Linux namespaces to join at container runtime (format "
	  "'<nstype>:<path>')" },
	{ "pid-file", FLAG_STRING, NULL, "file path to write the task's pid" },
	{ "gpus", FLAG_LIST, NULL, "add gpus to the container" },
	{ "allow-new-privs", FLAG_BOOL, NULL, "turn off OCI spec's NoNewPrivileges feature flag" },
	{ "memory-limit", FLAG_STRING, NULL,
	  "memory limit for the container, in bytes or with a suffix (512m, 2g)", "0" },
	{ "pids-limit", FLAG_INT, NULL, "limit of the number of processes", "0" },
	{ "device", FLAG_LIST, NULL,
	  "file path to a device to add to the container; or a path to a directory tree of devices "
	  "to add to the container; or the name of a CDI device" },
	{ "user", FLAG_STRING, "u", "user in the container: NAME or UID, and :GROUP or :GID" },
	{ "cap-add", FLAG_LIST, NULL,
	  "add Linux capabilities (Set capabilities with 'CAP_' prefix)" },
	{ "cap-drop", FLAG_LIST, NULL,
	  "drop Linux capabilities (Set capabilities with 'CAP_' prefix)" },
	{ "seccomp", FLAG_BOOL, NULL, "enable the default seccomp profile" },
	{ "seccomp-profile", FLAG_STRING, NULL,
	  "file path to custom seccomp profile. seccomp must be set to true, before using "
	  "seccomp-profile" },
	{ "apparmor-default-profile", FLAG_STRING, NULL,
	  "enable AppArmor with the default profile with the specified name, e.g. "
	  "\"cri-containerd.apparmor.d\"" },
	{ "apparmor-profile", FLAG_STRING, NULL,
	  "enable AppArmor with an existing custom profile" },
	{ "rdt-class", FLAG_STRING, NULL, "name of the RDT class to associate the container with" },
	{ "blockio-config-file", FLAG_STRING, NULL,
	  "file path to blockio class definitions. By default class definitions are not loaded" },
	{ "blockio-class", FLAG_STRING, NULL,
	  "name of the blockio class to associate the container with" },
	{ "rootfs", FLAG_BOOL, NULL,
	  "use custom rootfs that is not managed by containerd snapshotter" },
	{ "no-pivot", FLAG_BOOL, NULL, "disable use of pivot-root (linux only)" },
	{ "cpu-quota", FLAG_INT, NULL, "Limit CPU CFS quota", "-1" },
	{ "cpu-period", FLAG_UINT, NULL, "Limit CPU CFS period", "0" },
	{ "rootfs-propagation", FLAG_STRING, NULL, "set the propagation of the container rootfs" },
	{ NULL },
};
