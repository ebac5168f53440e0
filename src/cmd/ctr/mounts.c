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

const char *mounts_option(const Containerd__Types__Mount *m, const char *name)
{
	for (size_t i = m->n_options; i-- > 0;)
		if (str_starts(m->options[i], name))
			return m->options[i] + strlen(name);
	return NULL;
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

int mounts_perform_safely(struct arena *a, const Containerd__Types__Mount *m, const char *target,
			  struct err *e)
{
	static const char *const more[] = { "nosuid", "nodev", "noexec" };
	char **options = arena_array(a, m->n_options + ARRAY_LEN(more), sizeof *options);
	Containerd__Types__Mount safe = *m;

	for (size_t i = 0; i < m->n_options; i++)
		options[i] = m->options[i];
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		options[m->n_options + i] = arena_strdup(a, more[i]);
	safe.options = options;
	safe.n_options += ARRAY_LEN(more);
	safe.target = (char *)(uintptr_t) "";
	return perform(&safe, target, e) < 0 ? err_wrap(e, "mount a snapshot to look into it") : 0;
}

int mounts_undo(const char *target, struct err *e)
{
	return mount_undo(target, e);
}
