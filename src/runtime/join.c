/* A namespace given by its path may be the one that we are in.  Then what the container is to get
 * of its own would be done to ours: by its name alone no path tells that. */
#include "runtime/join.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PREFIXES = 4 };

static const struct {
	const char *file; /* in /proc/self/ns; NULL: nothing is at stake */
	const char *sysctls[PREFIXES]; /* that belong to it: prefixes of their paths */
} kinds[OCI_NS_COUNT] = {
	[OCI_NS_NETWORK] = { "net", { "net/" } },
	[OCI_NS_IPC] = { "ipc", { "fs/mqueue/", "kernel/msg", "kernel/sem", "kernel/shm" } },
	[OCI_NS_UTS] = { "uts", { "kernel/domainname" } },
	[OCI_NS_USER] = { "user", { "user/" } },
	[OCI_NS_MOUNT] = { "mnt" },
};

static int is_own(const char *file, int procfd, int fd, bool *ret, struct err *e)
{
	struct stat given, own;
	char path[32];

	snprintf(path, sizeof path, "self/ns/%s", file);
	if (fstatat(procfd, path, &own, 0) < 0 || fstat(fd, &given) < 0)
		return err_sys(e, errno, "stat namespace %s", file);
	*ret = own.st_dev == given.st_dev && own.st_ino == given.st_ino;
	return 0;
}

int join_check(const struct plan *p, const struct plan_join *j, int procfd, int fd, struct err *e)
{
	const char *const *prefix = kinds[j->type].sysctls;
	bool own = false;

	if (!kinds[j->type].file)
		return 0;
	if (is_own(kinds[j->type].file, procfd, fd, &own, e) < 0)
		return -1;
	if (!own)
		return 0;
	if (j->type == OCI_NS_MOUNT)
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"mount namespace %s is the runtime's own: its root file system would "
			"be replaced",
			j->path);
	if (j->type == OCI_NS_UTS && (p->hostname || p->domainname))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unable to set %s without a private UTS namespace",
			       p->hostname ? "hostname" : "domainname");
	for (size_t i = 0; i < p->sysctl.n; i++)
		for (size_t k = 0; k < PREFIXES && prefix[k]; k++)
			if (str_starts(p->sysctl.v[i].key, prefix[k]))
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "sysctl \"%s\" not allowed in host %s namespace",
					       p->sysctl.v[i].key, oci_ns_names[j->type]);
	return 0;
}
