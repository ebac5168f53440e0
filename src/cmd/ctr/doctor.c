#include "cmd/ctr/doctor.h"

#include "base/str.h"
#include "os/file.h"
#include "os/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20 };

void checks_add(struct checks *c, enum finding f, const char *name, const char *hint,
		const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (c->n == ARRAY_LEN(c->v))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->v[c->n++] = (struct check){ f, name, arena_strdup(c->arena, text), hint };
}

/* NULL when it cannot be read. */
static char *read_text(struct checks *c, const char *path)
{
	AUTO_FREE char *full = xasprintf("%s%s", c->root, path), *text = NULL;

	if (file_read(AT_FDCWD, full, FILE_MAX, &text, NULL) < 0)
		return NULL;
	return arena_strdup(c->arena, text);
}

static bool exists(struct checks *c, const char *path)
{
	AUTO_FREE char *full = xasprintf("%s%s", c->root, path);

	return access(full, F_OK) == 0;
}

static void check_kernel(struct checks *c, const char *release)
{
	if (!kernel_release_is(release, 5, 4))
		checks_add(c, FINDING_FAIL, "kernel", "use a kernel of 5.4 or later",
			   "%s is too old", release);
	else
		checks_add(c, FINDING_OK, "kernel", NULL, "%s", release);
}

static void check_cgroups(struct checks *c)
{
	const char *controllers = read_text(c, "/sys/fs/cgroup/cgroup.controllers");
	const char *needed[] = { "cpu", "memory", "pids" };
	AUTO_STR struct str missing = STR_INIT(100);

	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		const char *folder = arena_printf(c->arena, "/sys/fs/cgroup/%s", needed[i]);

		if (controllers ? !strstr(controllers, needed[i]) : !exists(c, folder))
			str_addf(&missing, "%s%s", missing.len ? ", " : "", needed[i]);
	}
	if (missing.len)
		checks_add(c, FINDING_FAIL, "cgroups",
			   "mount /sys/fs/cgroup, and see cgroup_disable= on the kernel's command "
			   "line",
			   "without %s", str_c(&missing));
	else
		checks_add(c, FINDING_OK, "cgroups", NULL, "version %s with cpu, memory, pids",
			   controllers                           ? "2"
			   : exists(c, "/sys/fs/cgroup/unified") ? "1 (hybrid)"
								 : "1");
}

static void check_overlay(struct checks *c)
{
	const char *known = read_text(c, "/proc/filesystems");

	if (known && strstr(known, "\toverlay\n"))
		checks_add(c, FINDING_OK, "overlay", NULL, "the kernel has overlayfs");
	else
		checks_add(c, FINDING_FAIL, "overlay",
			   "modprobe overlay, or use --snapshotter native",
			   "the kernel shows no overlayfs");
}

static void check_features(struct checks *c)
{
	const char *users = read_text(c, "/proc/sys/user/max_user_namespaces");

	if (exists(c, "/proc/sys/kernel/seccomp/actions_avail"))
		checks_add(c, FINDING_OK, "seccomp", NULL, "the kernel filters system calls");
	else
		checks_add(c, FINDING_WARN, "seccomp", "use a kernel with CONFIG_SECCOMP_FILTER",
			   "containers run without a system call filter");
	if (users && strcmp(users, "0\n") != 0)
		checks_add(c, FINDING_OK, "userns", NULL, "user namespaces are allowed");
	else
		checks_add(c, FINDING_WARN, "userns", "sysctl user.max_user_namespaces=10000",
			   "user namespaces are switched off");
}

static bool has_entry(struct checks *c, const char *folder, const char *const *ends)
{
	AUTO_FREE char *full = xasprintf("%s%s", c->root, folder);
	DIR *d = opendir(full);
	bool found = false;

	for (const struct dirent *at; d && (at = readdir(d));)
		for (size_t i = 0; ends[i]; i++)
			found = found || str_ends(at->d_name, ends[i]);
	if (d)
		closedir(d);
	return found;
}

static void check_cni(struct checks *c)
{
	static const char *const ends[] = { ".conf", ".conflist", ".json", NULL };
	const char *folder = exists(c, "/opt/cni/bin/loopback")   ? "/opt/cni/bin"
			     : exists(c, "/usr/lib/cni/loopback") ? "/usr/lib/cni"
								  : NULL;

	if (!has_entry(c, "/etc/cni/net.d", ends))
		checks_add(c, FINDING_OK, "cni", NULL,
			   "no network in /etc/cni/net.d: the built-in one is used");
	else if (!folder)
		checks_add(c, FINDING_WARN, "cni",
			   "install the package containernetworking-plugins for --cni",
			   "networks in /etc/cni/net.d, but no plugins in /opt/cni/bin or "
			   "/usr/lib/cni");
	else
		checks_add(c, FINDING_OK, "cni", NULL, "plugins in %s, networks in /etc/cni/net.d",
			   folder);
}

void checks_host(struct checks *c, const char *release)
{
	check_kernel(c, release);
	check_cgroups(c);
	check_overlay(c);
	check_features(c);
	check_cni(c);
}

/* A shim stands in its container's bundle; the kernel marks a folder that is gone. */
static bool is_left_over(struct checks *c, const char *pid)
{
	const char *name = read_text(c, arena_printf(c->arena, "/proc/%s/comm", pid));
	AUTO_FREE char *link = xasprintf("%s/proc/%s/cwd", c->root, pid);
	char cwd[4096];

	if (!name || !str_starts(name, "containerd-shim"))
		return false;
	ssize_t n = readlink(link, cwd, sizeof cwd - 1);
	if (n < 0)
		return false;
	cwd[n] = 0;
	return str_ends(cwd, " (deleted)");
}

void checks_shims(struct checks *c)
{
	AUTO_FREE char *proc = xasprintf("%s/proc", c->root);
	AUTO_STR struct str pids = STR_INIT(400);
	DIR *d = opendir(proc);

	for (const struct dirent *at; d && (at = readdir(d));)
		if (at->d_name[strspn(at->d_name, "0123456789")] == 0 &&
		    is_left_over(c, at->d_name))
			str_addf(&pids, " %s", at->d_name);
	if (d)
		closedir(d);
	if (pids.len || pids.over)
		checks_add(c, FINDING_WARN, "shims",
			   arena_printf(c->arena, "look at them, then kill%s", str_c(&pids)),
			   "shims without a bundle:%s", str_c(&pids));
	else
		checks_add(c, FINDING_OK, "shims", NULL, "none is left over");
}
