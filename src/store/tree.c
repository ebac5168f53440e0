#include "store/tree.h"

#include "base/mem.h"
#include "store/inodes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct level {
	DIR *dir;
	struct stat st;
	char *name; /* in the level above */
};

struct walk {
	struct level *levels;
	size_t n, cap;
	int rootfd;
};

static int push(struct walk *w, int at, const char *name, const struct stat *st)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;

		close(fd);
		return r;
	}
	GROW(w->levels, w->n, w->cap);
	w->levels[w->n++] = (struct level){ dir, *st, xstrdup(name) };
	return 0;
}

static void pop(struct walk *w)
{
	struct level *l = &w->levels[--w->n];

	closedir(l->dir);
	free(l->name);
}

/* The folder that level i is in. */
static int folder_of(const struct walk *w, size_t i)
{
	return i > 0 ? dirfd(w->levels[i - 1].dir) : w->rootfd;
}

static int tell_top(struct walk *w, enum tree_when when, tree_visit *visit, void *arg)
{
	const struct level *l = &w->levels[w->n - 1];
	struct tree_entry t = { folder_of(w, w->n - 1), dirfd(l->dir), l->name, l->st, when };

	return visit(&t, arg);
}

static int step(struct walk *w, tree_visit *visit, void *arg)
{
	struct level *top = &w->levels[w->n - 1];
	int at = dirfd(top->dir);
	struct tree_entry t = { .dirfd = at, .fd = -1, .when = TREE_LEAF };
	struct dirent *d = readdir(top->dir);

	if (!d) {
		int r = w->n > 1 ? tell_top(w, TREE_LEAVE, visit, arg) : 0;

		pop(w);
		return r;
	}
	if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return 0;
	if (fstatat(at, d->d_name, &t.st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	t.name = d->d_name;
	if (!S_ISDIR(t.st.st_mode))
		return visit(&t, arg);
	if (w->n >= TREE_DEPTH)
		return -ELOOP;

	int r = push(w, at, d->d_name, &t.st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return tell_top(w, TREE_ENTER, visit, arg);
}

int tree_walk(int rootfd, tree_visit *visit, void *arg)
{
	struct walk w = { .rootfd = rootfd };
	struct stat st;

	if (fstat(rootfd, &st) < 0)
		return -errno;
	/* "." opens a description of our own: reading does not move the caller's. */
	int r = push(&w, rootfd, ".", &st);
	while (r == 0 && w.n > 0)
		r = step(&w, visit, arg);
	while (w.n > 0)
		pop(&w);
	free(w.levels);
	return r;
}

/* --- usage --- */

/* A container can make more entries than anybody wants to count, and hard links to more files than
 * anybody wants to remember. */
enum { USAGE_ENTRIES = 16 << 20, USAGE_LINKED = 1 << 20, USAGE_ENOUGH = 1 };

struct usage {
	int64_t bytes, inodes;
	uint64_t entries;
	struct inodes seen;
};

static int count(const struct tree_entry *t, void *arg)
{
	struct usage *u = arg;
	struct inode *i;

	if (t->when == TREE_LEAVE)
		return 0;
	if (u->entries++ == USAGE_ENTRIES)
		return USAGE_ENOUGH;
	if (t->when == TREE_LEAF && t->st.st_nlink > 1 && u->seen.n < USAGE_LINKED &&
	    !inodes_add(&u->seen, &t->st, &i))
		return 0;
	u->bytes += (int64_t)t->st.st_blocks * 512;
	u->inodes++;
	return 0;
}

int tree_usage(int rootfd, int64_t *ret_bytes, int64_t *ret_inodes)
{
	struct usage u = { 0 };
	struct stat st;

	if (fstat(rootfd, &st) < 0)
		return -errno;
	u.bytes = (int64_t)st.st_blocks * 512;
	u.inodes = 1;
	int r = tree_walk(rootfd, count, &u);
	inodes_done(&u.seen);
	*ret_bytes = u.bytes;
	*ret_inodes = u.inodes;
	return r == USAGE_ENOUGH ? 0 : r;
}
