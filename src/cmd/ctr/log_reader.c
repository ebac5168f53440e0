/* Reads a log's files in their order: container.log.000007[.gz], …, container.log; and goes on
 * where it was when more has come, also when the file was rotated meanwhile. */
#include "cmd/ctr/logs.h"

#include "base/num.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define NAME "container.log"
enum { FILES_MAX = 4096, RECORD_MAX = 1 << 20, CHUNK = 64 << 10 };
#define CURRENT UINT32_MAX

struct log_reader {
	char *dir;
	size_t tail, skip; /* lines still to be passed over */
	bool is_begun;
	int fd; /* of container.log; -1: not there yet */
	uint32_t last; /* the highest number that has been read */
	struct str line, text;
};

struct numbers {
	uint32_t v[FILES_MAX];
	size_t n;
};

struct log_reader *log_reader_new(const char *dir, size_t tail)
{
	struct log_reader *r = NEW(struct log_reader);

	*r = (struct log_reader){ .dir = xstrdup(dir),
				  .tail = tail,
				  .fd = -1,
				  .line = STR_INIT(RECORD_MAX),
				  .text = STR_INIT(RECORD_MAX) };
	return r;
}

void log_reader_free(struct log_reader *r)
{
	close_fd(&r->fd);
	str_done(&r->line);
	str_done(&r->text);
	free(r->dir);
	free(r);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The rotated files above `above`, each once, in order. */
static int list(const struct log_reader *r, uint32_t above, struct numbers *ret, struct err *e)
{
	DIR *d = opendir(r->dir);
	size_t kept = 0;

	ret->n = 0;
	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", r->dir);
	for (struct dirent *de; ret->n < FILES_MAX && (de = readdir(d));) {
		unsigned n;
		int end = 0;

		if (sscanf(de->d_name, NAME ".%9u%n", &n, &end) == 1 && n > above &&
		    (!de->d_name[end] || !strcmp(de->d_name + end, ".gz")))
			ret->v[ret->n++] = n;
	}
	closedir(d);
	qsort(ret->v, ret->n, sizeof *ret->v, by_number);
	for (size_t i = 0; i < ret->n; i++) /* a file and its .gz in the making are one */
		if (!kept || ret->v[kept - 1] != ret->v[i])
			ret->v[kept++] = ret->v[i];
	ret->n = kept;
	return 0;
}

/* A file, and none that holds the reader up or leads elsewhere: others may write in the folder. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close_fd(&fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

/* -1 with errno ENOENT: it has been removed meanwhile, which is what rotation is for. */
static int open_number(const struct log_reader *r, uint32_t n)
{
	char *path AUTO_FREE = n == CURRENT ? xasprintf("%s/" NAME, r->dir)
					    : xasprintf("%s/" NAME ".%06u", r->dir, n);
	char *gz AUTO_FREE = xasprintf("%s.gz", path);
	int fd = open_regular(path);

	if (fd < 0 && errno == ENOENT && n != CURRENT)
		fd = open_regular(gz);
	return fd;
}

struct output {
	log_visit *visit;
	void *arg;
	size_t *counter; /* only count lines */
};

static int take_line(struct log_reader *r, const struct output *o)
{
	struct log_record rec;
	bool is_end;

	if (r->line.over || !r->line.len ||
	    !log_record_parse(r->line.ptr, r->line.len, &r->text, &rec))
		return 0; /* not ours, or half of one after a crash */
	is_end = !rec.is_partial;
	if (o->counter) {
		*o->counter += is_end;
		return 0;
	}
	if (r->skip) {
		r->skip -= is_end;
		return 0;
	}
	return o->visit(&rec, o->arg);
}

static int take_bytes(struct log_reader *r, const char *p, size_t n, const struct output *o)
{
	while (n) {
		const char *end = memchr(p, '\n', n);
		size_t len = end ? (size_t)(end - p) : n;

		str_addn(&r->line, p, len);
		if (!end)
			return 0;
		if (take_line(r, o) < 0)
			return -1;
		str_reset(&r->line);
		r->line.over = false;
		p += len + 1;
		n -= len + 1;
	}
	return 0;
}

static int read_plain(struct log_reader *r, int fd, const struct output *o, struct err *e)
{
	char *buf AUTO_FREE = xmalloc(CHUNK);
	ssize_t n;

	while ((n = read(fd, buf, CHUNK)) > 0)
		if (take_bytes(r, buf, (size_t)n, o) < 0)
			return 1;
	return n < 0 ? err_sys(e, errno, "read the log in %s", r->dir) : 0;
}

/* A rotated one: whole, and perhaps compressed. */
static int read_whole(struct log_reader *r, uint32_t number, const struct output *o, struct err *e)
{
	int fd AUTO_FD = open_number(r, number);
	char *buf AUTO_FREE = xmalloc(CHUNK);
	int n, rc = 0, error = Z_OK;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open a log in %s", r->dir);
	int copy = fd_copy(fd);
	gzFile z = gzdopen(copy, "rb"); /* what is not compressed it reads as it is */

	if (!z) {
		close_fd(&copy);
		return err_sys(e, ENOMEM, "read a log in %s", r->dir);
	}
	while (rc == 0 && (n = gzread(z, buf, CHUNK)) > 0)
		rc = take_bytes(r, buf, (size_t)n, o) < 0 ? 1 : 0;
	if (rc == 0 && n < 0)
		rc = err_set(e, ERR_DATA_LOSS, "log %s/" NAME ".%06u: %s", r->dir, number,
			     gzerror(z, &error));
	(void)gzclose_r(z);
	str_reset(&r->line);
	return rc;
}

static int read_current(struct log_reader *r, const struct output *o, struct err *e)
{
	if (r->fd < 0)
		r->fd = open_number(r, CURRENT);
	return r->fd < 0 ? 0 : read_plain(r, r->fd, o, e);
}

/* How many files from the newest back hold the tail; the rest is not read at all. */
static int find_tail(struct log_reader *r, const struct numbers *l, size_t *ret_first,
		     struct err *e)
{
	size_t lines = 0, i = l->n;
	const struct output count = { .counter = &lines };

	*ret_first = 0;
	if (r->tail == SIZE_MAX)
		return 0;
	if (read_current(r, &count, e) < 0)
		return -1;
	if (r->fd >= 0 && lseek(r->fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "seek in %s", r->dir);
	str_reset(&r->line);
	while (i > 0 && lines < r->tail)
		if (read_whole(r, l->v[--i], &count, e) < 0)
			return -1;
	*ret_first = i;
	r->skip = lines > r->tail ? lines - r->tail : 0;
	return 0;
}

static int read_rotated(struct log_reader *r, const struct numbers *l, size_t first,
			const struct output *o, struct err *e)
{
	int rc = 0;

	for (size_t i = first; rc == 0 && i < l->n; i++) {
		rc = read_whole(r, l->v[i], o, e);
		r->last = l->v[i];
	}
	return rc;
}

/* Is container.log another file than the one we have read to its end? */
static bool was_rotated(const struct log_reader *r)
{
	char *path AUTO_FREE = xasprintf("%s/" NAME, r->dir);
	struct stat ours, named;

	return r->fd >= 0 && fstat(r->fd, &ours) == 0 && lstat(path, &named) == 0 &&
	       ours.st_ino != named.st_ino;
}

/* The one that was current has a number now: what comes after it is next. */
static void pass_ours(struct log_reader *r, struct numbers *l)
{
	struct stat ours, st;
	size_t i = 0;

	for (; i < l->n && fstat(r->fd, &ours) == 0; i++) {
		int fd AUTO_FD = open_number(r, l->v[i]);

		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == ours.st_ino)
			break;
	}
	if (i == l->n) /* compressed already, or gone: it was the first one, if it is there */
		i = 0;
	if (l->n)
		r->last = l->v[i];
}

static int go_on(struct log_reader *r, const struct output *o, struct numbers *l, struct err *e)
{
	int rc = read_current(r, o, e);

	if (rc || !was_rotated(r))
		return rc;
	rc = read_current(r, o, e); /* what came between the end and the rotation */
	if (rc || list(r, r->last, l, e) < 0)
		return rc ? rc : -1;
	pass_ours(r, l);
	close_fd(&r->fd);
	r->fd = -1;
	str_reset(&r->line);
	if (list(r, r->last, l, e) < 0)
		return -1;
	rc = read_rotated(r, l, 0, o, e);
	return rc ? rc : read_current(r, o, e);
}

static int begin(struct log_reader *r, const struct output *o, struct numbers *l, struct err *e)
{
	size_t first;
	int rc;

	r->is_begun = true;
	r->fd = open_number(r,
			    CURRENT); /* before the list: rotated meanwhile, it is still this one */
	if (list(r, 0, l, e) < 0 || find_tail(r, l, &first, e) < 0)
		return -1;
	if (was_rotated(r)) { /* between the two: it is in the list as well */
		close_fd(&r->fd);
		r->fd = -1;
	}
	rc = read_rotated(r, l, first, o, e);
	return rc ? rc : read_current(r, o, e);
}

int log_reader_run(struct log_reader *r, log_visit *visit, void *arg, struct err *e)
{
	const struct output o = { .visit = visit, .arg = arg };
	struct numbers *l = NEW(struct numbers);
	int rc = r->is_begun ? go_on(r, &o, l, e) : begin(r, &o, l, e);

	free(l);
	return rc < 0 ? -1 : 0;
}
