/* Our own runtime, called in a copy of the shim (oci.c forks it). */
#include "base/mem.h"
#include "base/str.h"
#include "os/file.h"
#include "os/socket.h"
#include "runtime/runtime.h"
#include "shim/oci_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* A bundle's shim says where it listens in the file `address`. */
static bool has_live_shim(const char *bundle)
{
	AUTO_FD int dirfd = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *address = NULL;

	if (dirfd < 0 || file_read(dirfd, "address", PATH_MAX, &address, NULL) < 0 ||
	    !str_starts(address, "unix://"))
		return false;
	AUTO_FD int fd = socket_connect_now(address + strlen("unix://"));

	return fd >= 0 || fd == -EAGAIN;
}

/* Who calls us knows of no container by this id.  One that ended, whose daemon and shim were killed
 * before they could delete it, is in nobody's way; any other is somebody else's. */
static int create_anew(const struct runtime *rt, const struct runtime_create *c, struct arena *a,
		       struct runtime_process *p, struct err *e)
{
	AUTO_FREE char *bundle = file_real_path(c->bundle);
	struct runtime_state s;
	struct err ignored = { 0 };

	if (runtime_create(rt, c, p, e) == 0)
		return 0;
	if (e->code != ERR_ALREADY_EXISTS || runtime_state(rt, a, c->id, &s, &ignored) < 0)
		return -1;
	if ((!bundle || strcmp(s.bundle, bundle) != 0) && has_live_shim(s.bundle))
		return -1;
	if (runtime_delete_ended(rt, c->id, &ignored) < 0)
		return -1;
	err_clear(e);
	return runtime_create(rt, c, p, e);
}

struct root {
	int sock;
	bool is_there;
};

static int wait_for_root(void *arg, struct err *e)
{
	struct root *r = arg;
	struct err made;

	if (r->is_there)
		return 0;
	if (recv(r->sock, &made, sizeof made, 0) != sizeof made)
		return err_set(e, ERR_INTERNAL, "the shim ended before it made the rootfs");
	r->is_there = true;
	return made.code ? err_copy(e, &made) : 0;
}

static int create(const struct runtime *rt, const struct oci_request *q, int sock, struct arena *a,
		  struct runtime_process *p, struct err *e)
{
	struct root root = { .sock = sock };
	struct oci_spec *spec;
	struct runtime_create c = {
		.id = q->id,
		.bundle = q->bundle,
		.io = RUNTIME_IO_INHERIT,
		.no_pivot = q->no_pivot_root,
		.no_new_keyring = q->no_new_keyring,
	};

	if (runtime_load_spec(a, q->bundle, &spec, e) < 0)
		return -1;
	c.spec = spec;
	if (sock >= 0 && q->make_root) {
		c.on_root = wait_for_root;
		c.on_root_arg = &root;
	}
	c.io.pid_file = q->pid_file;
	if (q->terminal)
		c.io.console = RUNTIME_CONSOLE_RETURN;
	else
		memcpy(c.io.stdio, q->stdio, sizeof c.io.stdio);
	if (create_anew(rt, &c, a, p, e) < 0)
		return err_wrap(e, "runc create failed");
	return 0;
}

/* By force, for what a daemon cleans up: only what was made from its bundle.  Another daemon's
 * container of the same name, which made ours fail, goes on. */
static int delete_own(const struct runtime *rt, const struct oci_request *q, struct err *e)
{
	AUTO_FREE char *bundle = q->force ? file_real_path(q->bundle) : NULL;

	if (q->force && !bundle)
		return err_sys(e, errno, "open bundle %s", q->bundle);
	return q->force ? runtime_delete_of(rt, q->id, bundle, e)
			: runtime_delete(rt, q->id, false, e);
}

static int exec(const struct runtime *rt, const struct oci_request *q, struct arena *a,
		struct runtime_process *p, struct err *e)
{
	struct oci_process *process;
	struct runtime_exec x = { .id = q->id, .io = RUNTIME_IO_INHERIT };

	if (oci_process_parse(a, q->json, q->json_len, &process, e) < 0)
		return -1;
	process->terminal = q->terminal;
	x.process = process;
	x.io.pid_file = q->pid_file;
	if (q->terminal)
		x.io.console = RUNTIME_CONSOLE_RETURN;
	else
		memcpy(x.io.stdio, q->stdio, sizeof x.io.stdio);
	if (runtime_exec(rt, &x, p, e) < 0)
		return err_wrap(e, "exec failed");
	return 0;
}

static int update(const struct runtime *rt, const struct oci_request *q, struct arena *a,
		  struct err *e)
{
	struct oci_resources *r;

	if (oci_resources_parse(a, q->json, q->json_len, &r, e) < 0)
		return -1;
	return runtime_update(rt, q->id, r, e);
}

static int run(const struct runtime *rt, const struct oci_request *q, int sock, struct arena *a,
	       struct runtime_process *p, struct err *e)
{
	switch (q->verb) {
	case OCI_CREATE:
		return create(rt, q, sock, a, p, e);
	case OCI_START:
		return runtime_start(rt, q->id, e);
	case OCI_EXEC:
		return exec(rt, q, a, p, e);
	case OCI_KILL:
		return runtime_kill(rt, q->id, q->sig, q->all, e);
	case OCI_DELETE:
		return delete_own(rt, q, e);
	case OCI_PAUSE:
		return runtime_pause(rt, q->id, e);
	case OCI_RESUME:
		return runtime_resume(rt, q->id, e);
	case OCI_UPDATE:
		return update(rt, q, a, e);
	case OCI_CHECKPOINT:
	case OCI_RESTORE:
		break;
	}
	BUG("unknown runtime verb");
}

bool oci_own_now(const struct oci_runtime *rt, const struct oci_request *q, struct steps *steps,
		 struct err *ret_e)
{
	struct runtime lib = { .root = rt->root,
			       .systemd_cgroup = rt->systemd_cgroup,
			       .steps = steps };

	if (q->verb == OCI_DELETE && !q->force)
		return runtime_delete_now(&lib, q->id);
	return q->verb == OCI_START && runtime_start_now(&lib, q->id, ret_e) != 0;
}

void oci_own_run(const struct oci_runtime *rt, const struct oci_request *q, int sock,
		 struct steps *steps, struct oci_answer *ret)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct runtime lib = { .root = rt->root,
			       .systemd_cgroup = rt->systemd_cgroup,
			       .steps = steps };
	struct runtime_process p = RUNTIME_PROCESS_NONE;

	*ret = (struct oci_answer){ .console = -1 };
	if (run(&lib, q, sock, a, &p, &ret->error) < 0 && !ret->error.code)
		BUG("the runtime failed without an error");
	ret->pid = p.pid;
	ret->console = p.console;
	close_fd(&p.pidfd);
}
