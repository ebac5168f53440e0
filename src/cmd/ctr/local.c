#include "cmd/ctr/local.h"

#include "cmd/ctr/json_print.h"

#include "image/channel.h"
#include "image/start.h"
#include "oci/platform.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>

enum { END_TIMEOUT_MS = 5000 };

void local_init(struct local *l, struct ctr *ctr, const char *kind)
{
	*l = (struct local){ .ctr = ctr, .text = STR_INIT(CHANNEL_MAX) };
	jsonw_init(&l->job, &l->text, 0);
	jsonw_object(&l->job);
	jsonw_kstring(&l->job, "kind", kind);
}

void local_done(struct local *l)
{
	for (size_t i = 0; i < LOCAL_INGESTS; i++)
		if (l->ingests[i].fd > 0)
			close(l->ingests[i].fd);
	progress_free(l->view);
	str_done(&l->text);
}

static void write_platform(struct jsonw *w, const struct platform *p)
{
	jsonw_object(w);
	jsonw_kstring(w, "os", p->os);
	jsonw_kstring(w, "architecture", p->arch);
	jsonw_kstring(w, "variant", p->variant);
	jsonw_end(w);
}

int local_platforms(struct local *l, const char *const *words, size_t n, bool none_is_host,
		    struct err *e)
{
	struct platform p = platform_host();

	jsonw_key(&l->job, "platforms");
	jsonw_array(&l->job);
	if (!n && none_is_host)
		write_platform(&l->job, &p);
	for (size_t i = 0; i < n; i++) {
		if (platform_parse(words[i], &p, e) < 0)
			return -1;
		write_platform(&l->job, &p);
	}
	jsonw_end(&l->job);
	return 0;
}

int local_platforms_from_flags(struct local *l, const struct args *args, struct err *e)
{
	bool all = args_bool(args, "all-platforms");
	size_t n;
	const char *const *words = args_list(args, "platform", &n);

	if (n && all)
		return err_set(e, ERR_UNKNOWN,
			       "cannot specify both --platform and --all-platforms");
	return local_platforms(l, words, n, !all, e);
}

void local_add_image(struct local *l, const char *name, const Containerd__Types__Descriptor *target)
{
	struct labels annotations;
	struct jsonw *w = &l->job;

	jsonw_object(w);
	jsonw_kstring(w, "name", name);
	jsonw_key(w, "target");
	jsonw_object(w);
	jsonw_kstring(w, "mediaType", target->media_type);
	jsonw_kstring(w, "digest", target->digest);
	jsonw_ku64(w, "size", (uint64_t)target->size);
	labels_from_pb(l->ctr->arena, target->annotations, target->n_annotations, &annotations);
	if (annotations.n) {
		jsonw_key(w, "annotations");
		json_labels(w, &annotations);
	}
	jsonw_end(w);
	jsonw_end(w);
}

void local_one_image(struct local *l, const char *name, const Containerd__Types__Descriptor *target)
{
	jsonw_key(&l->job, "images");
	jsonw_array(&l->job);
	local_add_image(l, name, target);
	jsonw_end(&l->job);
}

/* Beside us in a build tree, in libexec where it is installed. */
static int find_worker(struct arena *a, const char **ret, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *slash;

	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	return transfer_find_worker(
		a, arena_printf(a, "%.*s/../libexec/casco", slash ? (int)(slash - self) : 0, self),
		self, ret, e);
}

static int gone(int *pidfd, struct err *e)
{
	int status = 0;

	if (spawn_wait(*pidfd, END_TIMEOUT_MS, &status) < 0)
		return err_set(e, ERR_INTERNAL, "the transfer worker fell silent");
	close_fd(pidfd);
	*pidfd = -1;
	if (status > 128)
		return err_set(e, ERR_UNAVAILABLE, "the transfer worker was ended by signal %d",
			       status - 128);
	return err_set(e, ERR_INTERNAL, "the transfer worker ended with %d, without a word",
		       status);
}

static int converse(struct local *l, int sock, int *pidfd, struct err *e)
{
	for (;;) {
		AUTO_PACKET struct channel_packet p = { 0 };
		bool failed = false;
		int r = channel_recv(sock, &p, e);

		if (r == 0)
			return gone(pidfd, e);
		if (r > 0)
			r = local_serve(l, sock, p.json, &failed, e);
		if (r < 0 || failed)
			return -1;
		if (r == 1)
			return 0;
		if (l->view)
			progress_draw(l->view);
	}
}

static void end(int pidfd)
{
	int status;

	if (spawn_wait(pidfd, 0, &status) == 0)
		return;
	(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* it has said its last word */
	(void)spawn_wait(pidfd, END_TIMEOUT_MS, &status);
}

int local_run(struct local *l, int fd, struct err *e)
{
	int pair[2], pidfd AUTO_FD = -1, sock AUTO_FD = -1, other AUTO_FD = -1, r;
	const char *worker;

	jsonw_end(&l->job);
	if (l->text.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "the request is too large");
	if (find_worker(l->ctr->arena, &worker, e) < 0)
		return -1;
	r = channel_pair(pair);
	if (r < 0)
		return err_sys(e, -r, "socketpair");
	sock = pair[0];
	other = pair[1];
	fflush(stdout);
	if (worker_start(worker, other, &pidfd, e) < 0)
		return -1;
	close_fd(&other);
	other = -1;
	if (!l->is_quiet)
		l->view = progress_new(stdout, isatty(STDOUT_FILENO));
	r = channel_send(sock, &l->text, &fd, fd >= 0, e);
	if (r == 0)
		r = converse(l, sock, &pidfd, e);
	if (l->view)
		progress_end(l->view);
	if (pidfd >= 0)
		end(pidfd);
	return r;
}
