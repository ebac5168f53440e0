#include "store/mount_do.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

enum {
	OPTIONS_MAX = 4095, /* what the kernel takes in one page */
	MOUNTS_MAX = 64, /* on one folder */
};

static const struct {
	const char *name;
	unsigned long set, clear;
} flag_names[] = {
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "bind", MS_BIND, 0 },
	{ "rbind", MS_BIND | MS_REC, 0 },
	{ "nosuid", MS_NOSUID, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "noatime", MS_NOATIME, 0 },
	{ "atime", 0, MS_NOATIME },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "relatime", MS_RELATIME, 0 },
	{ "strictatime", MS_STRICTATIME, 0 },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "defaults", 0, 0 },
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
	const struct mount *m;
	const char *source, *options,
		*folder; /* folder: to be in while it is made; NULL: anywhere */
	unsigned long flags;
	bool is_looped, is_direct;
};

static int join_options(struct arena *a, struct request *q, struct err *e)
{
	struct str s AUTO_STR = STR_INIT(1 << 20);
	const char *lower = NULL, *o;

	for (size_t i = 0; i < q->m->noptions; i++) {
		o = q->m->options[i];
		if (str_starts(o, "lowerdir="))
			lower = o + strlen("lowerdir=");
		else if (!strcmp(o, "loop"))
			q->is_looped = true;
		else if (!strcmp(o, "direct-io"))
			q->is_direct = true;
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
	bool is_bind = q->flags & MS_BIND;

	if (mount(q->source, target, q->m->type, is_bind ? q->flags & (MS_BIND | MS_REC) : q->flags,
		  q->options) < 0)
		return err_sys(e, errno, "mount source: \"%s\", target: \"%s\", fstype: %s",
			       q->source, target, q->m->type);
	/* the kernel takes a bind mount's other flags in a second step only */
	if (is_bind && (q->flags & ~(unsigned long)(MS_BIND | MS_REC)) &&
	    mount(NULL, target, NULL, q->flags | MS_REMOUNT, NULL) < 0) {
		(void)err_sys(e, errno, "remount %s", target);
		(void)umount2(target, 0); /* e says what is wrong */
		return -1;
	}
	return 0;
}

/* The thread gets a working folder of its own first: others may run beside it. */
static int mount_in_folder(const struct request *q, const char *target, struct err *e)
{
	AUTO_FD int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (unshare(CLONE_FS) < 0)
		return err_sys(e, errno, "unshare the working folder");
	if (here < 0 || chdir(q->folder) < 0)
		return err_sys(e, errno, "go to %s", q->folder);
	r = do_mount(q, target, e);
	if (fchdir(here) < 0 && r == 0)
		r = err_sys(e, errno, "go back");
	return r;
}

static int mount_looped(const struct request *q, const char *target, struct err *e)
{
	struct request device = *q;
	bool is_readonly = q->flags & MS_RDONLY;
	AUTO_FD int file =
		open(q->m->source, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	char path[LOOPDEV_PATH];

	if (file < 0)
		return err_sys(e, errno, "open %s", q->m->source);

	const struct loopdev_wish w = { is_readonly, q->is_direct };
	AUTO_FD int loop = loopdev_share(file, &w, path);
	if (loop < 0)
		return err_sys(e, -loop, "attach a loop device to %s", q->m->source);
	device.source = path;
	if (do_mount(&device, target, e) == 0)
		return 0;
	if (!is_readonly || e->errnum != EBUSY)
		return -1;
	/* somebody writes to it: the same file system, of which this mount only reads */
	err_clear(e);
	device.flags &= ~(unsigned long)MS_RDONLY;
	if (do_mount(&device, target, e) < 0)
		return -1;
	if (mount(NULL, target, NULL, q->flags | MS_REMOUNT | MS_BIND, NULL) == 0)
		return 0;
	(void)err_sys(e, errno, "remount %s", target);
	(void)umount2(target, 0); /* e says what is wrong */
	return -1;
}

int mount_do(const struct mount *m, const char *target, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct request q = { .m = m, .source = m->source };

	if (join_options(a, &q, e) < 0)
		return -1;
	if (!strcmp(m->type, "bind"))
		q.flags |= MS_BIND;
	if (q.is_looped)
		return mount_looped(&q, target, e);
	return q.folder ? mount_in_folder(&q, target, e) : do_mount(&q, target, e);
}

int mount_undo(const char *target, struct err *e)
{
	for (int i = 0; i < MOUNTS_MAX; i++)
		if (umount2(target, UMOUNT_NOFOLLOW) < 0) {
			if (errno == EINVAL || errno == ENOENT)
				return 0;
			return err_sys(e, errno, "failed to unmount target %s", target);
		}
	return err_set(e, ERR_FAILED_PRECONDITION, "more than %d mounts on %s", MOUNTS_MAX, target);
}
