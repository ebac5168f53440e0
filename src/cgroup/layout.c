/* Where the hierarchies are mounted and where a process lives in them. */
#include "base/num.h"
#include "cgroup/private.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#define ROOT "/sys/fs/cgroup"
enum { MOUNTINFO_MAX = 64 << 20, OWN_MAX = 1 << 20 };

static const struct {
	const char *name;
	unsigned bit;
} controllers[] = {
	{ "cpuset", CG_CPUSET },
	{ "cpu", CG_CPU },
	{ "cpuacct", CG_CPUACCT },
	{ "memory", CG_MEMORY },
	{ "devices", CG_DEVICES },
	{ "freezer", CG_FREEZER },
	{ "blkio", CG_BLKIO },
	{ "pids", CG_PIDS },
	{ "hugetlb", CG_HUGETLB },
	{ "perf_event", CG_PERF_EVENT },
	{ "net_cls", CG_NET_CLS },
	{ "net_prio", CG_NET_PRIO },
	{ "rdma", CG_RDMA },
	{ "misc", CG_MISC },
	{ "name=systemd", CG_SYSTEMD },
	{ "", CG_UNIFIED },
	{ "io", CG_BLKIO }, /* v2's name, behind v1's */
};

const struct cgroup_support cgroup_support = { .v1 = true, .v2 = true };

unsigned cgroup_controller_bit(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (strlen(controllers[i].name) == n && memcmp(controllers[i].name, name, n) == 0)
			return controllers[i].bit;
	return 0;
}

const char *cgroup_controller_name(unsigned bit)
{
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (controllers[i].bit == bit)
			return controllers[i].name;
	BUG("no such controller");
}

/* The bits of a list with commas; unknown words (mount options) are none. */
static unsigned bits_of(const char *list, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n;) {
		size_t len = 0;

		while (i + len < n && list[i + len] != ',')
			len++;
		if (len)
			bits |= cgroup_controller_bit(list + i, len);
		i += len + 1;
	}
	return bits;
}

void cgroup_mounts_done(struct cgroup_mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->h[i].mount);
		free(m->h[i].own);
	}
	*m = (struct cgroup_mounts){ 0 };
}

void cgroup_parse_own(const char *text, struct cgroup_mounts *ret)
{
	for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		const char *list = memchr(line, ':', (size_t)(end - line));
		const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
		unsigned bits;

		if (!path || path[1] != '/' || ret->n == CG_HIERARCHIES_MAX)
			continue;
		list++;
		bits = path == list ? CG_UNIFIED : bits_of(list, (size_t)(path - list));
		if (!bits)
			continue;
		ret->h[ret->n++] = (struct hierarchy){
			.controllers = bits,
			.own = xstrndup(path + 1, (size_t)(end - path - 1)),
		};
	}
}

/* A field of mountinfo up to the next blank, its \ooo undone. */
static char *take_field(const char **p, const char *end)
{
	const char *s = *p;
	char *out = xmalloc((size_t)(end - s) + 1), *w = out;

	while (s < end && *s != ' ') {
		if (*s == '\\' && end - s >= 4) {
			*w++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*w++ = *s++;
		}
	}
	*w = 0;
	*p = s < end ? s + 1 : s;
	return out;
}

static void skip_fields(const char **p, const char *end, unsigned n)
{
	while (n--) {
		while (*p < end && **p != ' ')
			(*p)++;
		if (*p < end)
			(*p)++;
	}
}

/* A mount that shows only a part (root) of the hierarchy: our place seen from there. */
static void correct_own(struct hierarchy *h, const char *root)
{
	size_t n = strlen(root);

	if (strcmp(root, "/") == 0 || strncmp(h->own, root, n) != 0 ||
	    (h->own[n] && h->own[n] != '/'))
		return;

	char *own = xstrdup(h->own[n] ? h->own + n : "/");
	free(h->own);
	h->own = own;
}

static void take_mount(struct cgroup_mounts *m, unsigned bits, const char *root, const char *mount)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->h[i].controllers & bits && !m->h[i].mount) {
			m->h[i].mount = xstrdup(mount);
			correct_own(&m->h[i], root);
		}
}

void cgroup_parse_mountinfo(const char *text, struct cgroup_mounts *m)
{
	for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		const char *p = line, *dash = memmem(line, (size_t)(end - line), " - cgroup", 9);
		AUTO_FREE char *root = NULL, *mount = NULL;

		if (!dash)
			continue;
		skip_fields(&p, dash, 3); /* a line cut short ends before the dash */
		root = take_field(&p, dash);
		mount = take_field(&p, dash);
		p = dash + 3;
		if (strncmp(p, "cgroup2 ", 8) == 0) {
			take_mount(m, CG_UNIFIED, root, mount);
		} else if (strncmp(p, "cgroup ", 7) == 0) {
			skip_fields(&p, end, 2);
			take_mount(m, bits_of(p, (size_t)(end - p)), root, mount);
		}
	}
}

static int fs_magic(const char *path, long *ret)
{
	struct statfs st;

	if (statfs(path, &st) < 0)
		return -errno;
	*ret = (long)st.f_type;
	return 0;
}

int cgroup_layout_detect(enum cgroup_layout *ret, struct err *e)
{
	long magic = 0;
	int r = fs_magic(ROOT, &magic);

	if (r < 0)
		return err_sys(e, -r, "cannot find cgroups at " ROOT);
	if (magic == CGROUP2_SUPER_MAGIC)
		*ret = CGROUP_V2;
	else if (fs_magic(ROOT "/unified", &magic) == 0 && magic == CGROUP2_SUPER_MAGIC)
		*ret = CGROUP_HYBRID;
	else
		*ret = CGROUP_V1;
	return 0;
}

/* The usual places, without a look at mountinfo, whose length grows with every container. */
static bool guess_mount(struct hierarchy *h)
{
	AUTO_STR struct str s = STR_INIT(4096);
	AUTO_STR struct str own = STR_INIT(8192);
	long magic = 0, want = CGROUP_SUPER_MAGIC;

	str_add(&s, ROOT);
	if (h->controllers & CG_UNIFIED) {
		str_add(&s, "/unified");
		want = CGROUP2_SUPER_MAGIC;
	} else if (h->controllers & CG_SYSTEMD) {
		str_add(&s, "/systemd");
	} else {
		const char *comma = "/";

		for (unsigned bit = 1; bit < CG_SYSTEMD; bit <<= 1)
			if (h->controllers & bit) {
				str_addf(&s, "%s%s", comma, cgroup_controller_name(bit));
				comma = ",";
			}
	}
	if (fs_magic(str_c(&s), &magic) < 0 || magic != want)
		return false;
	/* A mount of a part of the hierarchy does not show our own place. */
	str_addf(&own, "%s%s", str_c(&s), h->own);
	if (own.over || (strcmp(h->own, "/") != 0 && access(str_c(&own), F_OK) < 0))
		return false;
	h->mount = str_take(&s);
	return true;
}

/* Hierarchies that nobody mounted (v2 without a mount on v1 machines) are left out. */
static void drop_unmounted(struct cgroup_mounts *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (m->h[i].mount)
			m->h[kept++] = m->h[i];
		else
			free(m->h[i].own);
	}
	m->n = kept;
}

static void keep_unified_only(struct cgroup_mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->h[i].controllers & CG_UNIFIED)
			m->h[i].mount = xstrdup(ROOT);
	drop_unmounted(m);
}

int cgroup_mounts_read(pid_t pid, struct cgroup_mounts *ret, struct err *e)
{
	AUTO_FREE char *own = NULL, *info = NULL;
	char path[40] = "/proc/self/cgroup";
	bool guessed = true;
	int r;

	if (pid)
		snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	if (cgroup_layout_detect(&ret->layout, e) < 0)
		return -1;
	r = file_read(AT_FDCWD, path, OWN_MAX, &own, NULL);
	if (r < 0)
		return err_sys(e, -r, "cannot read %s", path);
	cgroup_parse_own(own, ret);
	if (ret->layout == CGROUP_V2) {
		keep_unified_only(ret);
	} else {
		for (size_t i = 0; i < ret->n; i++)
			if (!guess_mount(&ret->h[i]))
				guessed = false;
		if (!guessed) {
			r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &info, NULL);
			if (r < 0)
				return err_sys(e, -r, "cannot read /proc/self/mountinfo");
			cgroup_parse_mountinfo(info, ret);
		}
		drop_unmounted(ret);
	}
	if (!ret->n)
		return err_set(e, ERR_FAILED_PRECONDITION, "no cgroup hierarchy is mounted");
	return 0;
}

char *cgroup_path_clean(const char *path)
{
	char *out = xmalloc(strlen(path) + 2), *w = out;
	bool absolute = *path == '/';

	if (absolute)
		*w++ = '/';
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			while (w > out + absolute && *--w != '/')
				;
		} else if (n && !(n == 1 && *p == '.')) {
			if (w > out && w[-1] != '/')
				*w++ = '/';
			memcpy(w, p, n);
			w += n;
		}
		p += n + (p[n] == '/');
	}
	*w = 0;
	return out;
}
