#include "image/diff.h"

#include "base/mem.h"
#include "base/str.h"
#include "image/diff_entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { DEPTH_MAX = 512, COPY = 256 * 1024, LINK_BUCKETS = 4096 };

/* A file with several names that the layer has already. */
struct seen {
	dev_t dev;
	ino_t ino;
	char *path;
	struct seen *next;
};

struct differ {
	const struct diff_trees *trees;
	struct tar_writer tar;
	struct str path; /* of what is at hand */
	struct seen *seen[LINK_BUCKETS];
	char *buf;
};

/* A folder on the way down.  It gets into the layer with the first thing that changed in it. */
struct folder {
	struct folder *up; /* NULL: the root, which no layer tells of */
	struct diff_entry left, right;
	size_t path_len;
	bool is_upper; /* names that `right` lacks are unchanged, not gone */
	bool is_told;
	unsigned depth;
};

static int fail(const struct differ *d, int r, const char *step, struct err *e)
{
	return err_sys(e, -r, "%s /%s", step, str_c(&d->path));
}

static struct timespec bounded(const struct differ *d, struct timespec t)
{
	if (d->trees->has_epoch && t.tv_sec > d->trees->epoch)
		t.tv_sec = d->trees->epoch;
	return t;
}

/* --- writing --- */

static struct seen **find_seen(struct differ *d, const struct stat *st)
{
	struct seen **at = &d->seen[(st->st_ino ^ st->st_dev) % LINK_BUCKETS];

	while (*at && ((*at)->ino != st->st_ino || (*at)->dev != st->st_dev))
		at = &(*at)->next;
	return at;
}

/* The first name of a file is told with its data, each further one as a link to it. */
static bool is_known_link(struct differ *d, const struct diff_entry *n, const char **ret)
{
	if (S_ISDIR(n->st.st_mode) || n->st.st_nlink < 2)
		return false;
	struct seen **at = find_seen(d, &n->st);

	if (*at) {
		*ret = (*at)->path;
		return true;
	}
	*at = NEW(struct seen);
	**at = (struct seen){ n->st.st_dev, n->st.st_ino, xstrdup(str_c(&d->path)), NULL };
	return false;
}

static int write_data(struct differ *d, const struct diff_entry *n, uint64_t size, struct err *e)
{
	AUTO_FD int fd = diff_entry_data(n);

	if (fd < 0)
		return fail(d, fd, "open", e);
	while (size) {
		size_t want = size < COPY ? (size_t)size : COPY;
		ssize_t got = read(fd, d->buf, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(d, -errno, "read", e);
		if (got == 0) { /* it shrank under us */
			memset(d->buf, 0, want);
			got = (ssize_t)want;
		}
		if (tar_write_data(&d->tar, d->buf, (size_t)got, e) < 0)
			return -1;
		size -= (uint64_t)got;
	}
	return 0;
}

static enum tar_type type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return TAR_DIR;
	case S_IFLNK:
		return TAR_SYMLINK;
	case S_IFCHR:
		return TAR_CHAR;
	case S_IFBLK:
		return TAR_BLOCK;
	case S_IFIFO:
		return TAR_FIFO;
	default:
		return TAR_FILE;
	}
}

static int write_entry(struct differ *d, const struct diff_entry *n, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct stat *st = &n->st;
	struct tar_entry t = { .type = type_of(st->st_mode),
			       .name = str_c(&d->path),
			       .mode = st->st_mode & 07777,
			       .uid = st->st_uid,
			       .gid = st->st_gid,
			       .mtime = bounded(d, st->st_mtim) };
	int r;

	if (is_known_link(d, n, &t.link)) {
		t.type = TAR_HARDLINK;
		return tar_write_entry(&d->tar, &t, e);
	}
	r = diff_entry_link(n, a, &t.link);
	if (r == 0)
		r = diff_entry_xattrs(n, a, &t.xattrs, &t.n_xattrs);
	if (r < 0)
		return fail(d, r, "read attributes of", e);
	if (t.type == TAR_DIR)
		t.name = arena_printf(a, "%s/", t.name);
	if (t.type == TAR_FILE)
		t.size = (uint64_t)st->st_size;
	if (t.type == TAR_CHAR || t.type == TAR_BLOCK) {
		t.major = major(st->st_rdev);
		t.minor = minor(st->st_rdev);
	}
	if (tar_write_entry(&d->tar, &t, e) < 0)
		return -1;
	return t.size ? write_data(d, n, t.size, e) : 0;
}

/* f and the folders above it, the top-most first. */
static int tell_folder(struct differ *d, struct folder *f, struct err *e)
{
	if (f->is_told || !f->up)
		return 0;
	if (tell_folder(d, f->up, e) < 0)
		return -1;

	AUTO_FREE char *whole = xstrdup(str_c(&d->path));
	str_reset(&d->path);
	str_addn(&d->path, whole, f->path_len);
	int r = write_entry(d, &f->right, e);
	str_reset(&d->path);
	str_add(&d->path, whole);
	f->is_told = true;
	return r;
}

static int tell_gone(struct differ *d, struct folder *f, const char *name, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%.*s%s.wh.%s", (int)f->path_len, str_c(&d->path),
					 f->path_len ? "/" : "", name);
	const struct tar_entry t = { .type = TAR_FILE,
				     .name = path,
				     .mtime = bounded(d, f->right.st.st_mtim) };

	if (tell_folder(d, f, e) < 0)
		return -1;
	return tar_write_entry(&d->tar, &t, e);
}

/* --- walking --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const struct differ *d, const struct diff_entry *dir, struct strv *ret,
		struct err *e)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *n;

	if (!stream) {
		int r = -errno;

		close_fd(&fd);
		return fail(d, r, "open", e);
	}
	for (errno = 0; (n = readdir(stream));)
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0)
			strv_add(ret, n->d_name);
	int r = errno;
	closedir(stream);
	if (r)
		return fail(d, -r, "read", e);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_text);
	return 0;
}

static int walk(struct differ *d, struct folder *f, struct err *e);

static int go_down(struct differ *d, struct folder *f, struct diff_entry *left,
		   struct diff_entry *right, struct err *e)
{
	bool is_opaque = f->is_upper && diff_entry_is_opaque(right);
	struct folder down = { .up = f,
			       .left = *left,
			       .right = *right,
			       .path_len = d->path.len,
			       .is_upper = f->is_upper && !is_opaque,
			       .depth = f->depth + 1 };
	int same = 0;

	if (down.depth > DEPTH_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "folders are nested deeper than %d",
			       DEPTH_MAX);
	if (left->fd >= 0 && S_ISDIR(left->st.st_mode)) {
		same = diff_entry_same(left, right);
		if (same < 0)
			return fail(d, same, "compare", e);
	} else
		down.left.fd = -1;
	if (!same && tell_folder(d, &down, e) < 0)
		return -1;
	return walk(d, &down, e);
}

static int visit_file(struct differ *d, struct folder *f, const struct diff_entry *left,
		      const struct diff_entry *right, struct err *e)
{
	int same = left->fd < 0 ? 0 : diff_entry_same(left, right);

	if (same < 0)
		return fail(d, same, "compare", e);
	if (same || S_ISSOCK(right->st.st_mode)) /* tar has no sockets */
		return 0;
	return tell_folder(d, f, e) < 0 ? -1 : write_entry(d, right, e);
}

static int visit(struct differ *d, struct folder *f, const char *name, struct diff_entry *left,
		 struct diff_entry *right, struct err *e)
{
	/* A layer can't hold such a name: it would hide another. */
	if (str_starts(name, ".wh."))
		return 0;
	if (right->fd < 0 || (d->trees->is_upper && diff_entry_is_whiteout(right)))
		return left->fd >= 0 && (right->fd >= 0 || !f->is_upper) ? tell_gone(d, f, name, e)
									 : 0;
	if (f->is_upper && diff_entry_is_redirected(right))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "/%s was written with redirect_dir or metacopy", str_c(&d->path));
	return S_ISDIR(right->st.st_mode) ? go_down(d, f, left, right, e)
					  : visit_file(d, f, left, right, e);
}

static int visit_name(struct differ *d, struct folder *f, const char *name, struct err *e)
{
	struct diff_entry left = { .fd = -1 }, right = { .fd = -1 };

	if (f->path_len)
		str_addc(&d->path, '/');
	str_add(&d->path, name);
	if (d->path.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "a path has more than %d bytes",
			       TAR_NAME_MAX);
	int r = diff_entry_open(f->right.fd, name, &right);
	if (r == 0)
		r = diff_entry_open(f->left.fd, name, &left);
	r = r < 0 ? fail(d, r, "open", e) : visit(d, f, name, &left, &right, e);
	diff_entry_close(&left);
	diff_entry_close(&right);
	/* back to the folder */
	d->path.len = f->path_len;
	d->path.ptr[f->path_len] = 0;
	return r;
}

static int walk(struct differ *d, struct folder *f, struct err *e)
{
	AUTO_STRV struct strv right = { 0 }, left = { 0 };
	size_t i = 0, j = 0;

	if (list(d, &f->right, &right, e) < 0 ||
	    (f->left.fd >= 0 && !f->is_upper && list(d, &f->left, &left, e) < 0))
		return -1;
	while (i < right.n || j < left.n) {
		int order = i == right.n ? 1 : j == left.n ? -1 : strcmp(right.v[i], left.v[j]);
		const char *name = order <= 0 ? right.v[i] : left.v[j];

		if (visit_name(d, f, name, e) < 0)
			return -1;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

static void forget_links(struct differ *d)
{
	for (size_t i = 0; i < LINK_BUCKETS; i++)
		while (d->seen[i]) {
			struct seen *s = d->seen[i];

			d->seen[i] = s->next;
			free(s->path);
			free(s);
		}
}

int diff_write(const struct diff_trees *trees, tar_write_fn *write, void *arg, struct err *e)
{
	struct differ *d = NEW(struct differ);
	struct folder root = { .is_upper = trees->is_upper };

	*d = (struct differ){ .trees = trees,
			      .tar = { .write = write, .arg = arg },
			      .path = STR_INIT(TAR_NAME_MAX - 2),
			      .buf = xmalloc(COPY) };
	str_add(&d->path, "");
	int r = diff_entry_open(trees->right, ".", &root.right);

	root.left.fd = -1;
	if (r == 0 && trees->left >= 0)
		r = diff_entry_open(trees->left, ".", &root.left);
	if (r < 0)
		r = fail(d, r, "open", e);
	else
		r = walk(d, &root, e);
	if (r == 0)
		r = tar_write_end(&d->tar, e);
	diff_entry_close(&root.left);
	diff_entry_close(&root.right);
	forget_links(d);
	str_done(&d->path);
	free(d->buf);
	free(d);
	return r;
}
