/* The operator's programs of bin_dir, as containerd's documentation has their contract: arguments
 * -name, -digest and -stdin-media-type, the descriptor on the standard input, the reason on the
 * standard output, and 0 for yes. */
#include "image/verify.h"

#include "base/log.h"
#include "image/wire.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MAX_FILES = 1024, OUTPUT_MAX = 32 * 1024, REASON = 400 };

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted; a folder that is not there has none. */
static int list(const char *dir, struct strv *ret, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *n;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", dir);
	while ((n = readdir(d)) && ret->n < MAX_FILES)
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0)
			strv_add(ret, n->d_name);
	closedir(d);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, compare);
	return 0;
}

/* A file that holds the descriptor and is read from its start. */
static int input_of(const struct oci_descriptor *target, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(1 << 20);
	AUTO_FD int fd = memfd_create("descriptor", MFD_CLOEXEC);
	struct jsonw w;

	jsonw_init(&w, &text, 0);
	wire_write_descriptor(&w, target);
	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	int r = fd_write_all(fd, str_c(&text), text.len);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, r < 0 ? -r : errno, "write descriptor");
	return TAKE_FD(fd);
}

static int64_t left_ms(uint64_t end)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return now < end ? (int64_t)((end - now) / 1000000u) + 1 : 0;
}

/* What it says, until it closes its output; what is too much is read and dropped. */
static int listen_to(int out, uint64_t end, struct str *ret)
{
	char buf[4096];

	for (;;) {
		struct pollfd p = { .fd = out, .events = POLLIN };
		int64_t ms = left_ms(end);

		if (ms == 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)ms) < 0 && errno != EINTR)
			return -errno;
		if (!p.revents)
			continue;
		ssize_t n = read(out, buf, sizeof buf);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		size_t room = ret->max - ret->len;
		if (n > 0)
			str_addn(ret, buf, (size_t)n < room ? (size_t)n : room);
	}
}

/* Its exit code, or -errno; what it leaves behind in its group goes, too. */
static int run(const struct verifier *v, const char *path, const char *name,
	       const struct oci_descriptor *target, struct str *said, struct err *e)
{
	const char *argv[] = { path,
			       "-name",
			       name,
			       "-digest",
			       target->digest,
			       "-stdin-media-type",
			       "application/vnd.oci.descriptor.v1+json",
			       NULL };
	static char *const env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
					     "/usr/bin:/sbin:/bin",
				     NULL };
	AUTO_FD int in = input_of(target, e), pidfd = -1;
	int out[2], status = 0;
	struct timespec now;
	pid_t pid;

	if (in < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	const int fds[] = { in, out[1], -1 };
	const struct spawn s = { .path = path,
				 .argv = (char *const *)argv,
				 .envp = env,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3,
				 .new_group = true };

	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t end = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + v->timeout;
	int r = spawn_start(&s, &pidfd, &pid);
	close(out[1]);
	if (r == 0) {
		r = listen_to(out[0], end, said);
		if (r == 0)
			r = spawn_wait(pidfd, (int)left_ms(end), &status);
		if (r < 0) {
			kill(-pid, SIGKILL); /* not reaped yet: the number is still its own */
			(void)spawn_wait(pidfd, -1, &status);
		}
	}
	close(out[0]);
	if (r < 0)
		return err_sys(e, -r, "%s", path);
	return status;
}

static int ask(const struct verifier *v, const char *file, const char *name,
	       const struct oci_descriptor *target, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", v->bin_dir, file);
	AUTO_STR struct str said = STR_INIT(OUTPUT_MAX);
	int code = run(v, path, name, target, &said, e);

	if (code < 0) {
		e->code = ERR_PERMISSION_DENIED;
		return err_wrap(
			e,
			"blocking pull of %s with digest %s: image verifier bindir returned "
			"error",
			name, target->digest);
	}
	char *text = said.ptr;
	for (; said.len && strchr(" \t\r\n", text[said.len - 1]); said.len--)
		text[said.len - 1] = 0;
	log_debug(LOG({ "verifier", path }, { "reason", str_c(&said) }), "image verifier ended");
	if (code == 0)
		return 0;
	return err_set(
		e, ERR_PERMISSION_DENIED,
		"image verifier bindir blocked pull of %s with digest %s for reason: verifier "
		"%s rejected image (exit code %d): %.*s",
		name, target->digest, file, code, REASON, str_c(&said));
}

int verifier_run_programs(const struct verifier *v, const char *name,
			  const struct oci_descriptor *target, struct err *e)
{
	AUTO_STRV struct strv files = { 0 };

	if (!*v->bin_dir || v->max_verifiers == 0)
		return 0;
	if (list(v->bin_dir, &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		if (v->max_verifiers > 0 && i == (size_t)v->max_verifiers) {
			log_warn(LOG({ "bin_dir", v->bin_dir }),
				 "there are more verifiers than max_verifiers, skipping the rest");
			break;
		}
		if (ask(v, files.v[i], name, target, e) < 0)
			return -1;
	}
	return 0;
}
