#include "cmd/ctr/mounts.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

enum {
	OPTIONS_MAX = 4095, /* what the kernel takes in one page */
	MOUNTS_MAX = 64, /* on one folder */
};

static const struct {
	const char *name;
	unsigned long set, clear;
} flag_names[] = {
	{ "ro", MS_RDONLY, 0 },           { "rw", 0, MS_RDONLY },       { "bind", MS_BIND, 0 },
	{ "rbind", MS_BIND | MS_REC, 0 }, { "nosuid", MS_NOSUID, 0 },   { "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },         { "dev", 0, MS_NODEV },       { "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },         { "noatime", MS_NOATIME, 0 }, { "atime", 0, MS_NOATIME },
};

static bool take_flag(const char *option, unsigned long *flags)
{
	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
		if (!strcmp(option, flag_names[i].name)) {
			*flags = (*flags | flag_names[i].set) & ~flag_names[i].clear;
			return true;
		}
	return false;
}

/* The folder that all lower layers of an overlay are in, so that a deep stack's names can be
 * written short; 0: none. */
static size_t common_folder(const char *lower)
{
	size_t n = strcspn(lower, ":"), k;

	for (const char *p = lower; *p; p += strcspn(p, ":"), p += *p == ':') {
		for (k = 0; k < n && p[k] == lower[k]; k++)
			;
		n = k;
	}
	while (n && lower[n - 1] != '/')
		n--;
	return n;
}

static char *relative(struct arena *a, const char *lower, size_t n)
{
	struct str s AUTO_STR = STR_INIT(1 << 20);

	for (const char *p = lower; *p;) {
		size_t k = strcspn(p, ":");

		str_addf(&s, "%s%.*s", p == lower ? "" : ":", (int)(k - n), p + n);
		p += k + (p[k] == ':');
	}
	return arena_strdup(a, str_c(&s));
}

struct request {
	const Containerd__Types__Mount *m;
	const char *options, *folder; /* folder: to be in while it is made; NULL: anywhere */
	unsigned long flags;
};

static int join_options(struct arena *a, struct request *q, struct err *e)
{
	struct str s AUTO_STR = STR_INIT(1 << 20);
	const char *lower = NULL, *o;

	for (size_t i = 0; i < q->m->n_options; i++) {
		o = q->m->options[i];
		if (str_starts(o, "lowerdir="))
			lower = o + strlen("lowerdir=");
		else if (!take_flag(o, &q->flags))
			str_addf(&s, "%s%s", s.len ? "," : "", o);
	}
	if (lower && s.len + strlen(lower) + 16 > OPTIONS_MAX) {
		size_t n = common_folder(lower);

		q->folder = n ? arena_strndup(a, lower, n) : NULL;
		lower = relative(a, lower, n);
	}
	if (lower)
		str_addf(&s, "%slowerdir=%s", s.len ? "," : "", lower);
	if (s.len > OPTIONS_MAX)
		return err_set(e, ERR_OUT_OF_RANGE, "mount options of %zu bytes are too long",
			       s.len);
	q->options = arena_strdup(a, str_c(&s));
	return 0;
}

static int do_mount(const struct request *q, const char *target, struct err *e)
{
	const Containerd__Types__Mount *m = q->m;
	bool is_bind = q->flags & MS_BIND;

	if (mount(m->source, target, m->type, is_bind ? q->flags & (MS_BIND | MS_REC) : q->flags,
		  q->options) < 0)
		return err_sys(e, errno, "mount source: \"%s\", target: \"%s\", fstype: %s",
			       m->source, target, m->type);
	/* the kernel takes a bind mount's other flags in a second step only */
	if (is_bind && (q->flags & ~(unsigned long)(MS_BIND | MS_REC)) &&
	    mount(NULL, target, NULL, q->flags | MS_REMOUNT, NULL) < 0)
		return err_sys(e, errno, "remount %s", target);
	return 0;
}

static int perform(struct arena *a, const Containerd__Types__Mount *m, const char *target,
		   struct err *e)
{
	struct request q = { .m = m };
	int here AUTO_FD = -1, r;

	if (join_options(a, &q, e) < 0)
		return -1;
	if (!q.folder)
		return do_mount(&q, target, e);
	here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (here < 0 || chdir(q.folder) < 0)
		return err_sys(e, errno, "go to %s", q.folder);
	r = do_mount(&q, target, e);
	if (fchdir(here) < 0 && r == 0)
		r = err_sys(e, errno, "go back");
	return r;
}

int mounts_perform(struct arena *a, Containerd__Types__Mount **v, size_t n, const char *target,
		   struct err *e)
{
	char *whole AUTO_FREE = realpath(target, NULL); /* the working folder may change */

	if (!whole)
		return err_sys(e, errno, "mount target %s", target);
	for (size_t i = 0; i < n; i++)
		if (perform(a, v[i], whole, e) < 0) {
			while (i--)
				(void)umount2(whole, 0); /* e says what is wrong */
			return -1;
		}
	return 0;
}

int mounts_undo(const char *target, struct err *e)
{
	for (int i = 0; i < MOUNTS_MAX; i++)
		if (umount2(target, UMOUNT_NOFOLLOW) < 0) {
			if (errno == EINVAL || errno == ENOENT)
				return 0;
			return err_sys(e, errno, "failed to unmount target %s", target);
		}
	return err_set(e, ERR_FAILED_PRECONDITION, "more than %d mounts on %s", MOUNTS_MAX, target);
}
