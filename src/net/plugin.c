#include "net/plugin.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { OUT_MAX = 1 << 20, ERR_MAX = 16 << 10, TYPE_MAX = 255, SHOWN = 400, READS_MAX = 512 };

/* A path in the type would start any program of the host (CVE-2021-20206). */
int plugin_find(const struct cni_env *env, const char *type, char **ret, struct err *e)
{
	struct str dirs AUTO_STR = STR_INIT(4096);
	struct stat st;

	if (!*type)
		return err_set(e, ERR_INVALID_ARGUMENT, "no plugin name provided");
	if (strchr(type, '/') || !strcmp(type, ".") || !strcmp(type, "..") ||
	    strlen(type) > TYPE_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid plugin name: %.200s", type);
	for (size_t i = 0; env->bin_dirs[i]; i++) {
		char *path = xasprintf("%s/%s", env->bin_dirs[i], type);

		str_addf(&dirs, "%s%s", i ? " " : "", env->bin_dirs[i]);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0) {
			*ret = path;
			return 0;
		}
		free(path);
	}
	return err_set(e, ERR_NOT_FOUND, "failed to find plugin \"%.200s\" in path [%s]", type,
		       str_c(&dirs));
}

static void add_environment(struct strv *l, const struct cni_env *env, const struct plugin_run *run)
{
	struct str path AUTO_STR = STR_INIT(4096);
	extern char **environ;

	for (char **v = environ; *v; v++)
		if (!str_starts(*v, "CNI_"))
			strv_add(l, *v);
	for (size_t i = 0; env->bin_dirs[i]; i++)
		str_addf(&path, "%s%s", i ? ":" : "", env->bin_dirs[i]);
	strv_addf(l, "CNI_COMMAND=%s", run->command);
	strv_addf(l, "CNI_PATH=%s", str_c(&path));
	if (!run->at)
		return;
	strv_addf(l, "CNI_CONTAINERID=%s", run->at->container);
	strv_addf(l, "CNI_NETNS=%s", run->at->netns);
	strv_addf(l, "CNI_IFNAME=%s", run->at->ifname);
	strv_addf(l, "CNI_ARGS=%s", run->at->args ? run->at->args : "");
}

/* A running plugin and what it has said. */
struct child {
	int pidfd, out_fd, err_fd; /* -1: closed */
	pid_t pid;
	struct str out, err;
	int status;
};

static void child_done(struct child *c)
{
	close_fd(&c->pidfd);
	close_fd(&c->out_fd);
	close_fd(&c->err_fd);
	str_done(&c->out);
	str_done(&c->err);
}

static int start(const char *path, const struct cni_env *env, const struct plugin_run *run,
		 struct child *c, struct err *e)
{
	struct strv envp AUTO_STRV = { 0 };
	AUTO_FD int config = memfd_create("cni-config", MFD_CLOEXEC);
	AUTO_FD int out = -1, err = -1;
	char *argv[] = { (char *)(uintptr_t)path, NULL };
	int o[2], r;

	if (config < 0)
		return err_sys(e, errno, "memfd_create");
	r = fd_write_all(config, run->config, strlen(run->config));
	if (r < 0 || lseek(config, 0, SEEK_SET) < 0)
		return err_sys(e, r < 0 ? -r : errno, "write the configuration");
	if (pipe2(o, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	c->out_fd = o[0];
	out = o[1];
	if (pipe2(o, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	c->err_fd = o[0];
	err = o[1];
	(void)fd_set_nonblock(c->out_fd, true);
	(void)fd_set_nonblock(c->err_fd, true);
	add_environment(&envp, env, run);
	const int fds[] = { config, out, err, run->at ? run->at->lock : 0 };
	const struct spawn sp = { .path = path,
				  .argv = argv,
				  .envp = envp.v,
				  .cwd_fd = -1,
				  .fds = fds,
				  .n_fds = run->at && run->at->lock > 0 ? 4 : 3,
				  .new_group = true };

	r = spawn_start(&sp, &c->pidfd, &c->pid);
	return r < 0 ? err_sys(e, -r, "fork/exec %s", path) : 0;
}

/* What is there now, up to a bound: who writes without end must not hold us here.  What does not
 * fit is read all the same, so that the plugin goes on; it sets to->over. */
static void drain(int *fd, struct str *to)
{
	char buf[4096];

	for (int i = 0; *fd >= 0 && i < READS_MAX; i++) {
		ssize_t n = read(*fd, buf, sizeof buf);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) {
			close_fd(fd);
			*fd = -1;
			return;
		}
		str_addn(to, buf, (size_t)n);
	}
}

static int poll_once(struct child *c, struct cancel *cancel, uint64_t deadline, bool *ret_ended,
		     struct err *e)
{
	struct pollfd p[] = { { c->pidfd, POLLIN, 0 },
			      { c->out_fd, POLLIN, 0 },
			      { c->err_fd, POLLIN, 0 },
			      { cancel_fd(cancel), POLLIN, 0 } };
	uint64_t now = loop_now();
	int r;

	if (cancel_check(cancel, e) < 0)
		return -1;
	if (now >= deadline)
		return err_set(e, ERR_DEADLINE_EXCEEDED, "it took too long");
	r = poll(p, ARRAY_LEN(p), (int)((deadline - now) / 1000000) + 1);
	if (r < 0 && errno != EINTR)
		return err_sys(e, errno, "poll");
	if (r <= 0)
		return 0;
	drain(&c->out_fd, &c->out);
	drain(&c->err_fd, &c->err);
	if (c->out.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "it wrote more than %d bytes", OUT_MAX);
	*ret_ended = p[0].revents != 0;
	return 0;
}

/* Until it has ended: what its own children still hold open is not waited for. */
static int follow(struct child *c, struct cancel *cancel, uint64_t timeout, struct err *e)
{
	uint64_t deadline = loop_now() + timeout;
	bool has_ended = false;
	int r = 0;

	while (r == 0 && !has_ended)
		r = poll_once(c, cancel, deadline, &has_ended, e);
	if (r < 0)
		(void)kill(-c->pid, SIGKILL); /* its group, of which it is the head */
	(void)spawn_wait(c->pidfd, -1, &c->status);
	if (r < 0)
		return -1;
	drain(&c->out_fd, &c->out);
	drain(&c->err_fd, &c->err);
	if (c->out.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "it wrote more than %d bytes", OUT_MAX);
	return 0;
}

/* The last words of a text, on one line. */
static char *tail_of(const char *text, size_t n)
{
	size_t from = n > SHOWN ? n - SHOWN : 0;
	char *s;

	while (n > from && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	s = xstrndup(text + from, n - from);
	for (char *p = s; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return s;
}

/* An error as the specification has it, {code, msg, details}; or whatever there is. */
static int tell_failure(const struct child *c, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	AUTO_FREE char *said = tail_of(str_c(&c->err), c->err.len);
	AUTO_FREE char *out = tail_of(str_c(&c->out), c->out.len);
	const char *msg = "", *details = "";
	struct err bad = { 0 };
	int64_t code = 0;

	if (!c->out.len && !*said)
		return err_set(e, ERR_UNKNOWN,
			       "netplugin failed with no error message: \"exit status %d\"",
			       c->status);
	if (!c->out.len)
		return err_set(e, ERR_UNKNOWN, "netplugin failed: \"%s\"", said);
	if (jsonr_parse(c->out.ptr, c->out.len, &o, &bad) < 0 ||
	    !json_object_is_type(o, json_type_object) || jsonr_string(o, "msg", &msg, &bad) < 0 ||
	    jsonr_string(o, "details", &details, &bad) < 0 || jsonr_i64(o, "code", &code, &bad) < 0)
		return err_set(e, ERR_UNKNOWN,
			       "netplugin failed but error parsing its diagnostic message \"%s\"",
			       out);
	if (!*msg)
		return err_set(e, ERR_UNKNOWN, "netplugin failed with code %d and no message",
			       (int)code);
	return err_set(e, code == 11 ? ERR_UNAVAILABLE : ERR_UNKNOWN, "%.600s%s%.300s", msg,
		       *details ? "; " : "", details);
}

int plugin_run(const struct cni_env *env, const struct plugin_run *run, char **ret, size_t *ret_n,
	       struct err *e)
{
	AUTO_FREE char *path = NULL;
	CLEANUP(child_done)
	struct child c = { .pidfd = -1,
			   .out_fd = -1,
			   .err_fd = -1,
			   .out = STR_INIT(OUT_MAX),
			   .err = STR_INIT(ERR_MAX) };

	if (plugin_find(env, run->type, &path, e) < 0)
		return -1;
	if (start(path, env, run, &c, e) < 0 || follow(&c, run->cancel, env->timeout, e) < 0)
		return err_wrap(e, "%s", path);
	if (c.status != 0) {
		(void)tell_failure(&c, e);
		return err_wrap(e, "%s", path);
	}
	*ret_n = c.out.len;
	*ret = str_take(&c.out);
	return 0;
}
