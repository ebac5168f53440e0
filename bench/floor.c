/* The kernel's floor: the work it cannot be spared for one container of `runc spec`'s default, and
 * nothing else - no configuration, no state, no error texts beyond a name.
 *
 *	floor ROOTFS CGROUP_FOLDER [FILTER]
 *
 * Makes a cgroup below CGROUP_FOLDER (cgroup2), clones into it with new pid, ipc, uts, mount and
 * net namespaces, sets up the default mounts, devices, masks and capabilities, loads the seccomp
 * filter in the file FILTER (struct sock_filter one after the other), runs /bin/true and removes
 *the cgroup.  The exit code is the program's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static const struct {
	const char *type, *target;
	unsigned long flags;
	const char *data;
} mounts[] = {
	{ "proc", "proc", 0, NULL },
	{ "tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k" },
	{ "devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620" },
	{ "tmpfs", "dev/shm", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k" },
	{ "mqueue", "dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL },
	{ "sysfs", "sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL },
	{ "cgroup2", "sys/fs/cgroup", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL },
};

static const struct {
	const char *path;
	unsigned major, minor;
} nodes[] = {
	{ "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
	{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
};

static const char *const links[][2] = {
	{ "/proc/self/fd", "dev/fd" },       { "/proc/self/fd/0", "dev/stdin" },
	{ "/proc/self/fd/1", "dev/stdout" }, { "/proc/self/fd/2", "dev/stderr" },
	{ "pts/ptmx", "dev/ptmx" },
};

static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					"/proc/sysrq-trigger" };
static const char *const masked[] = { "/proc/acpi",        "/proc/kcore",
				      "/proc/keys",        "/proc/latency_stats",
				      "/proc/timer_list",  "/proc/timer_stats",
				      "/proc/sched_debug", "/proc/scsi",
				      "/sys/firmware" };
/* what the default spec keeps */
static const int kept_caps[] = { CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE };

static void set_up_dev(void)
{
	for (size_t i = 0; i < COUNT(nodes); i++)
		need(mknod(nodes[i].path, S_IFCHR | 0666,
			   makedev(nodes[i].major, nodes[i].minor)) == 0,
		     nodes[i].path);
	for (size_t i = 0; i < COUNT(links); i++)
		need(symlink(links[i][0], links[i][1]) == 0, links[i][1]);
}

static void set_up_root(const char *root)
{
	need(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, "slave");
	need(mount(root, root, NULL, MS_BIND | MS_REC, NULL) == 0, "bind");
	need(chdir(root) == 0, "chdir");
	for (size_t i = 0; i < COUNT(mounts); i++) {
		if (strncmp(mounts[i].target, "dev/", 4) == 0)
			need(mkdir(mounts[i].target, 0755) == 0, mounts[i].target);
		need(mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
			   mounts[i].data) == 0,
		     mounts[i].target);
	}
	set_up_dev();
	need(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
	need(umount2(".", MNT_DETACH) == 0, "umount");
	need(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0, "readonly root");
}

static void hide_paths(void)
{
	for (size_t i = 0; i < COUNT(readonly); i++) {
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) < 0)
			continue; /* this kernel has no such file */
		need(mount(NULL, readonly[i], NULL,
			   MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			   NULL) == 0,
		     readonly[i]);
	}
	for (size_t i = 0; i < COUNT(masked); i++) {
		struct stat st;

		if (stat(masked[i], &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			need(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL) == 0, masked[i]);
		else
			need(mount("/dev/null", masked[i], NULL, MS_BIND, NULL) == 0, masked[i]);
	}
}

static void drop_privileges(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		int keep = 0;

		for (size_t i = 0; i < COUNT(kept_caps); i++)
			keep |= kept_caps[i] == cap;
		if (!keep)
			need(prctl(PR_CAPBSET_DROP, cap) == 0, "drop a capability");
	}
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
}

static struct sock_filter filter[BPF_MAXINSNS];

static struct sock_fprog read_filter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, filter, sizeof filter);

	need(n > 0, path);
	close(fd);
	return (struct sock_fprog){ (unsigned short)(n / (ssize_t)sizeof *filter), filter };
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { 0 };
	char path[4096];
	int status;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: floor ROOTFS CGROUP_FOLDER [FILTER]\n");
		return 2;
	}
	if (argc == 4)
		program = read_filter(argv[3]);
	snprintf(path, sizeof path, "%s/floor-%d", argv[2], (int)getpid());
	need(mkdir(path, 0755) == 0, path);
	int cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	need(cgroup >= 0, path);

	struct clone_args how = {
		.flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWNET |
			 CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned long long)cgroup,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
	need(pid >= 0, "clone3");
	if (pid == 0) {
		char *const args[] = { "/bin/true", NULL }, *const env[] = { NULL };

		setsid();
		set_up_root(argv[1]);
		hide_paths();
		need(sethostname("floor", 5) == 0, "sethostname");
		drop_privileges();
		if (program.len)
			need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0,
			     "seccomp");
		execve(args[0], args, env);
		need(0, args[0]);
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	while (rmdir(path) < 0 && errno == EBUSY)
		continue; /* the kernel lets go of it a moment after the exit */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
