#include "cmd/ctr/mounts.h"

#include "store/mount_do.h"

#include <errno.h>
#include <sys/mount.h>

static int perform(const Containerd__Types__Mount *m, const char *target, struct err *e)
{
	const struct mount one = { .type = m->type,
				   .source = m->source,
				   .target = m->target,
				   .options = (const char **)m->options,
				   .noptions = m->n_options };

	return mount_do(&one, target, e);
}

int mounts_perform(struct arena *a UNUSED, Containerd__Types__Mount **v, size_t n,
		   const char *target, struct err *e)
{
	char *whole AUTO_FREE = realpath(target, NULL); /* the working folder may change */

	if (!whole)
		return err_sys(e, errno, "mount target %s", target);
	for (size_t i = 0; i < n; i++)
		if (perform(v[i], whole, e) < 0) {
			while (i--)
				(void)umount2(whole, 0); /* e says what is wrong */
			return -1;
		}
	return 0;
}

int mounts_undo(const char *target, struct err *e)
{
	return mount_undo(target, e);
}
