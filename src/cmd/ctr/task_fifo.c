/* Fifos: made by us, removed by us. */
#include "cmd/ctr/task_io.h"

#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#define FIFO_DIR "/run/containerd/fifo"

static int make_dir(const char *root, struct arena *a, const char **ret, struct err *e)
{
	char *dir = arena_printf(a, "%s/XXXXXX", root);
	int r = file_mkdirs(root, 0700);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", root);
	if (!mkdtemp(dir))
		return err_sys(e, errno, "mkdtemp %s", dir);
	*ret = dir;
	return 0;
}

static int make_fifo(struct task_io *io, const char *name, const char **ret, struct err *e)
{
	*ret = arena_printf(io->ctr->arena, "%s/%s-%s", io->dir,
			    *io->exec_id ? io->exec_id : io->id, name);
	if (mkfifo(*ret, 0700) < 0)
		return err_sys(e, errno, "mkfifo %s", *ret);
	return 0;
}

static struct task_io blank(struct ctr *ctr, const char *id, const char *exec_id)
{
	return (struct task_io){ .ctr = ctr,
				 .id = id,
				 .exec_id = exec_id,
				 .in = "",
				 .out = "",
				 .err = "",
				 .in_fd = -1,
				 .out_fd = -1,
				 .err_fd = -1 };
}

int task_io_create(struct ctr *ctr, const char *fifo_dir, const char *id, const char *exec_id,
		   bool terminal, struct task_io *ret, struct err *e)
{
	*ret = blank(ctr, id, exec_id);
	ret->terminal = terminal;
	ret->close_on_eof = !terminal;
	if (make_dir(*fifo_dir ? fifo_dir : FIFO_DIR, ctr->arena, &ret->dir, e) < 0)
		return -1;
	if (make_fifo(ret, "stdin", &ret->in, e) < 0 ||
	    make_fifo(ret, "stdout", &ret->out, e) < 0 ||
	    (!terminal && make_fifo(ret, "stderr", &ret->err, e) < 0)) {
		task_io_remove(ret);
		return -1;
	}
	return 0;
}

void task_io_null(struct ctr *ctr, const char *id, const char *log_uri, struct task_io *ret)
{
	*ret = blank(ctr, id, "");
	ret->out = ret->err = log_uri;
}

void task_io_attach(struct ctr *ctr, const Containerd__V1__Types__Process *p, struct task_io *ret)
{
	*ret = blank(ctr, p->id, "");
	ret->in = p->stdin;
	ret->out = p->stdout;
	ret->err = p->terminal ? "" : p->stderr;
	ret->terminal = p->terminal;
}

static bool is_fifo(const char *path)
{
	struct stat st;

	return *path == '/' && lstat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int open_reader(const char *path, int *ret, struct err *e)
{
	if (!*path || strstr(path, "://"))
		return 0;
	*ret = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*ret < 0)
		return err_sys(e, errno, "open %s", path);
	return 0;
}

int task_io_open(struct task_io *io, struct err *e)
{
	if (open_reader(io->out, &io->out_fd, e) < 0)
		return -1;
	if (!strcmp(io->err, io->out))
		return 0;
	return open_reader(io->err, &io->err_fd, e);
}

static void close_one(int *fd)
{
	close_fd(fd);
	*fd = -1;
}

void task_io_close(struct task_io *io)
{
	close_one(&io->in_fd);
	close_one(&io->out_fd);
	close_one(&io->err_fd);
}

void task_io_remove_paths(const char *in, const char *out, const char *err)
{
	const char *const paths[] = { in, out, err };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char *copy AUTO_FREE = NULL;

		if (!paths[i] || !is_fifo(paths[i]))
			continue;
		(void)unlink(paths[i]); /* somebody else may have been faster */
		copy = xstrdup(paths[i]);
		(void)rmdir(dirname(copy)); /* fails while another fifo is in it */
	}
}

void task_io_remove(struct task_io *io)
{
	task_io_close(io);
	task_io_remove_paths(io->in, io->out, io->err);
	if (io->dir)
		(void)rmdir(io->dir); /* gone already when it had fifos */
	io->dir = NULL;
}
