/* What belongs to a task and lies outside of its bundle: the fifos of its streams, its shim's
 * socket.
 *
 * Clients make the fifos and mostly remove them, too; one that went away (`ctr run -d`) cannot. The
 * names are theirs, so nothing is removed but TOP/FOLDER/KEY-stdin, -stdout and -stderr, where TOP
 * is where clients keep such folders, KEY the process's id, and the file a fifo; then FOLDER, if
 * that was all in it.  What a client keeps elsewhere it removes itself.  FOLDER is noted in the
 * bundle as the target of a link, `fifo` for init and `fifo.ID` for an exec: one call to write and
 * to read. */
#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "os/fd.h"
#include "os/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define CLIENTS_TOP "/run/containerd"
#define FIFO "fifo"

static const char *const streams[] = { "-stdin", "-stdout", "-stderr" };

static bool is_name(const char *s, size_t n)
{
	return n && n <= NAME_MAX && !memchr(s, '/', n) && strncmp(s, ".", n) != 0 &&
	       strncmp(s, "..", n) != 0;
}

/* TOP/fifo/FOLDER/KEY-stdin and its like: how long TOP/fifo/FOLDER is; 0: it is another path. */
static size_t folder_of(const char *path, const char *top, const char *key)
{
	size_t n = strlen(top), k = strlen(key);
	const char *folder = path + n + strlen("/" FIFO "/"), *name;

	if (strncmp(path, top, n) != 0 || !str_starts(path + n, "/" FIFO "/"))
		return 0;
	name = strchr(folder, '/');
	if (!name || !is_name(folder, (size_t)(name - folder)) || strncmp(name + 1, key, k) != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		if (strcmp(name + 1 + k, streams[i]) == 0)
			return (size_t)(name - path);
	return 0;
}

/* The folder of a process's fifos where that is for us to remove; else NULL.  The caller frees. */
static char *find_folder(const struct task *t, const char *key, const struct task_io *io)
{
	const char *const paths[] = { io->in, io->out, io->err };
	const char *const tops[] = { CLIENTS_TOP, t->ts->env->state };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		for (size_t j = 0; j < ARRAY_LEN(tops); j++) {
			size_t n = paths[i] ? folder_of(paths[i], tops[j], key) : 0;

			if (n)
				return xstrndup(paths[i], n);
		}
	return NULL;
}

static char *note_path(const struct task *t, const char *exec_id)
{
	return *exec_id ? xasprintf("%s/" FIFO ".%s", t->bundle, exec_id)
			: xasprintf("%s/" FIFO, t->bundle);
}

bool remains_note_fifos(const struct task *t, const char *exec_id, const struct task_io *io)
{
	const char *key = *exec_id ? exec_id : t->id;

	if (!ident_is_valid(key)) /* it becomes a path; the shim will say so */
		return false;
	AUTO_FREE char *folder = find_folder(t, key, io);
	AUTO_FREE char *note = folder ? note_path(t, exec_id) : NULL;

	if (!folder)
		return false;
	if (symlink(folder, note) == 0)
		return true;
	if (errno != EEXIST) /* EEXIST: an exec of that name is there, which the shim will say */
		log_warn(LOG({ "id", t->id }, { "error", err_errno_text(errno) }),
			 "cannot note the fifos of %s", key);
	return false;
}

void remains_forget_fifos(const struct task *t, const char *exec_id)
{
	AUTO_FREE char *note = note_path(t, exec_id);

	(void)unlink(note); /* it goes with the bundle at the latest */
}

/* Every step by descriptor, no link followed: the folder is the client's. */
static void remove_fifos(const char *folder, const char *key)
{
	const char *name = strrchr(folder, '/');
	AUTO_FREE char *top = name ? xstrndup(folder, (size_t)(name - folder)) : NULL;
	AUTO_FD int topfd = top ? open(top, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	AUTO_FD int fd =
		topfd < 0 ? -1
			  : openat(topfd, name + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return; /* the client was here before us */
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		AUTO_FREE char *file = xasprintf("%s%s", key, streams[i]);
		struct stat st;

		if (fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(st.st_mode))
			(void)unlinkat(fd, file, 0); /* or the client does */
	}
	(void)unlinkat(topfd, name + 1, AT_REMOVEDIR); /* not with another's files in it */
}

/* The folder that a note names; false when it is none of ours. */
static bool read_note(const struct task *t, int bundlefd, const char *note, const char *key,
		      char ret[PATH_MAX])
{
	ssize_t n = readlinkat(bundlefd, note, ret, PATH_MAX - 1);
	const char *const tops[] = { CLIENTS_TOP, t->ts->env->state };

	if (n <= 0)
		return false;
	ret[n] = 0;
	AUTO_FREE char *file = xasprintf("%s/%s%s", ret, key, streams[0]);

	for (size_t i = 0; i < ARRAY_LEN(tops); i++)
		if (folder_of(file, tops[i], key) == (size_t)n)
			return true;
	return false;
}

static void remove_noted(const struct task *t, int bundlefd, const char *note, const char *key)
{
	AUTO_FREE char *folder = xmalloc(PATH_MAX);

	if (read_note(t, bundlefd, note, key, folder))
		remove_fifos(folder, key);
	(void)unlinkat(bundlefd, note, 0); /* it goes with the bundle at the latest */
}

void remains_remove_fifos(const struct task *t, const char *exec_id)
{
	struct err gone = { 0 };
	AUTO_FREE char *note = xasprintf(FIFO ".%s", exec_id);
	AUTO_FD int fd = ident_is_valid(exec_id) ? bundle_open(t, &gone) : -1;

	if (fd >= 0)
		remove_noted(t, fd, note, exec_id);
}

static void remove_all_fifos(const struct task *t)
{
	struct err gone = { 0 };
	int fd = bundle_open(t, &gone);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return; /* no bundle: nothing was noted */
	for (struct dirent *x; (x = readdir(d));)
		if (x->d_type == DT_LNK && strcmp(x->d_name, FIFO) == 0)
			remove_noted(t, fd, x->d_name, t->id);
		else if (x->d_type == DT_LNK && str_starts(x->d_name, FIFO "."))
			remove_noted(t, fd, x->d_name, x->d_name + strlen(FIFO "."));
	closedir(d);
}

void remains_remove(const struct task *t)
{
	remove_all_fifos(t);
	/* One that serves is a group's, or on its way out. */
	if (t->socket)
		(void)socket_remove_dead(t->socket); /* mostly gone */
}
