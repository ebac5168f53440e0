/* The end of a process: reaped, put in order behind others, written down, and only then told. */
#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "containerd/events/task.pb-c.h"
#include "loop/loop.h"
#include "os/file.h"
#include "os/syscall.h"
#include "shim/events.h"
#include "shim/exit_file.h"
#include "shim/reaper.h"
#include "shim/task.h"

#include <string.h>

enum { CONFIG_MAX = 32 << 20 };

static void look_for_oom(struct container *c);

static void announce(struct proc *p)
{
	struct container *c = p->container;
	Containerd__Events__TaskExit ev = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	if (proc_is_init(p)) {
		struct exit_record x = { p->pid, p->exit_status, p->exited_at };
		struct err e = { 0 };

		if (exit_file_write(c->bundlefd, &x, &e) < 0)
			log_warn(LOG({ "id", c->id }, { "error", e.msg }),
				 "cannot write the exit status down, going on");
		/* first why it ended, if the kernel's word of that has not been read yet */
		if (c->oom_io)
			look_for_oom(c);
	}
	proc_set_state(p, PROC_STOPPED);
	at.seconds = p->exited_at.tv_sec;
	at.nanos = (int32_t)p->exited_at.tv_nsec;
	ev.container_id = c->id;
	ev.id = proc_is_init(p) ? c->id : p->id;
	ev.pid = (uint32_t)p->pid;
	ev.exit_status = p->exit_status;
	ev.exited_at = &at;
	events_send(c->shim->events, "/tasks/exit", &ev.base);
	proc_answer_waiters(p);
}

/* Execs that run, or are about to. */
static bool has_running_execs(const struct container *c)
{
	for (const struct proc *p = c->execs; p; p = p->next)
		if (p->is_starting || (p->pid && p->state != PROC_STOPPED))
			return true;
	return false;
}

/* Without a pid namespace of its own, a container's other processes outlive its init. */
static bool shares_pid_namespace(const struct container *c)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	json_object *l = NULL, *list = NULL;
	struct err e = { 0 };
	size_t n;

	if (file_read(c->bundlefd, "config.json", CONFIG_MAX, &text, &n) < 0 ||
	    jsonr_parse(text, n, &o, &e) < 0 || !json_object_is_type(o, json_type_object) ||
	    jsonr_object(o, "linux", &l, &e) < 0 || !l ||
	    jsonr_array(l, "namespaces", &list, &e) < 0)
		return false;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *ns = json_object_array_get_idx(list, i);
		const char *type = "", *path = "";

		if (json_object_is_type(ns, json_type_object) &&
		    jsonr_string(ns, "type", &type, &e) == 0 &&
		    jsonr_string(ns, "path", &path, &e) == 0 && !strcmp(type, "pid"))
			return *path;
	}
	return true;
}

void container_note_pidns(struct container *c)
{
	if (!c->is_pidns_known)
		c->shares_pidns = shares_pid_namespace(c);
	c->is_pidns_known = true;
}

static void init_ended(struct container *c);

static void on_killed_all(const struct err *e, UNUSED pid_t pid, UNUSED int console, void *arg)
{
	struct container *c = arg;

	if (e)
		log_warn(LOG({ "id", c->id }, { "error", e->msg }),
			 "cannot kill the rest of the container, going on");
	c->is_killing_all = false;
	init_ended(c);
}

/* Init has been reaped; told once all execs are. */
static void init_ended(struct container *c)
{
	struct proc *p = &c->init;

	if (!p->is_reaped || p->is_starting || p->state == PROC_STOPPED || c->is_killing_all)
		return;
	if (!c->was_killed_all) {
		c->was_killed_all = true;
		container_note_pidns(c); /* a restored one's */
		if (c->shares_pidns) {
			struct oci_request q = { .verb = OCI_KILL,
						 .id = c->id,
						 .bundle = c->bundle,
						 .sig = SIGKILL,
						 .all = true };

			c->is_killing_all = true;
			oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_killed_all, c);
			return;
		}
	}
	if (!has_running_execs(c))
		announce(p);
}

static void ended(struct proc *p)
{
	if (!proc_is_init(p))
		announce(p);
	init_ended(p->container);
}

static void on_end(uint32_t status, struct timespec at, void *arg)
{
	struct proc *p = arg;

	p->is_reaped = true;
	p->exit_status = status;
	p->exited_at = at;
	/* Its pid may be anybody's from here on. */
	if (!p->is_starting)
		ended(p);
}

void proc_watch(struct proc *p)
{
	p->pidfd = sys_pidfd_open(p->pid, 0);
	if (p->pidfd < 0)
		p->pidfd = -1; /* reaped already: the next line says so */
	reaper_watch(p->container->shim->reaper, p->pid, on_end, p);
}

void proc_started(struct proc *p)
{
	p->is_starting = false;
	if (p->is_reaped)
		ended(p);
}

void proc_abandoned(struct proc *p)
{
	p->is_starting = false;
	init_ended(p->container);
}

static void announce_oom(struct container *c)
{
	Containerd__Events__TaskOOM ev = CONTAINERD__EVENTS__TASK_OOM__INIT;

	ev.container_id = c->id;
	events_send(c->shim->events, "/tasks/oom", &ev.base);
}

static void look_for_oom(struct container *c)
{
	struct err e = { 0 };
	uint64_t kills = 0;
	bool gone = false;

	if (cgroup_oom_read(&c->oom, &kills, &gone, &e) < 0)
		gone = true;
	if (kills)
		announce_oom(c);
	if (gone) {
		loop_io_remove(c->oom_io);
		c->oom_io = NULL;
		cgroup_oom_close(&c->oom);
	}
}

static void on_oom(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	look_for_oom(arg);
}

void container_watch_oom(struct container *c)
{
	struct err e = { 0 };
	AUTO_CGROUP struct cgroup *cg = NULL;

	if (c->oom_io)
		return;
	if (container_load_cgroup(c, &cg, &e) < 0 || cgroup_oom_open(cg, &c->oom, &e) < 0) {
		log_debug(LOG({ "id", c->id }, { "error", e.msg }), "no OOM events");
		return;
	}
	if (loop_io_add(c->shim->loop, c->oom.fd, EPOLLIN, on_oom, c, &c->oom_io) < 0) {
		cgroup_oom_close(&c->oom);
		return;
	}
	if (c->oom.seen) /* it was quicker than we */
		announce_oom(c);
}
