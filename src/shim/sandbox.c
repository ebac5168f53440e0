#include "shim/sandbox.h"

#include "base/ident.h"
#include "base/log.h"
#include "base/mem.h"
#include "containerd/runtime/sandbox/v1/sandbox.pb-c.h"
#include "oci/platform.h"
#include "os/syscall.h"
#include "shim/sandbox_figures.h"
#include "shim/task.h"

#include <string.h>
#include <time.h>

#define V1(name) Containerd__Runtime__Sandbox__V1__##name
#define V1_INIT(name) CONTAINERD__RUNTIME__SANDBOX__V1__##name##__INIT

enum sandbox_state { SANDBOX_CREATED, SANDBOX_READY, SANDBOX_STOPPED };

struct sandbox {
	char *id;
	enum sandbox_state state;
	struct timespec created, exited;
	struct call_list *waiters;
};

const char *sandbox_id(const struct shim *s)
{
	return s->sandbox ? s->sandbox->id : NULL;
}

void sandbox_free(struct sandbox *sb)
{
	if (!sb)
		return;
	while (sb->waiters) { /* their connection is closed with the server */
		struct call_list *n = sb->waiters;

		sb->waiters = n->next;
		free(n);
	}
	free(sb->id);
	free(sb);
}

/* The one this shim was made for; others are not known here. */
static struct sandbox *get(const struct shim *s, const char *id, struct err *e)
{
	if (s->sandbox && strcmp(s->sandbox->id, id) == 0)
		return s->sandbox;
	err_set(e, ERR_NOT_FOUND, "sandbox %s", id);
	return NULL;
}

static Google__Protobuf__Timestamp stamp(struct timespec t)
{
	Google__Protobuf__Timestamp m = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	m.seconds = t.tv_sec;
	m.nanos = (int32_t)t.tv_nsec;
	return m;
}

void sandbox_create(struct ttrpc_call *call)
{
	const V1(CreateSandboxRequest) *q = call->req;
	struct shim *s = call->user;
	struct err e = { 0 };

	if (!ident_is_valid(q->sandbox_id))
		err_set(&e, ERR_INVALID_ARGUMENT, "sandbox id \"%s\" is not valid", q->sandbox_id);
	else if (s->sandbox)
		err_set(&e, ERR_ALREADY_EXISTS, "sandbox %s", s->sandbox->id);
	else if (q->n_rootfs)
		err_set(&e, ERR_UNIMPLEMENTED, "a sandbox of this runtime has no root of its own");
	if (e.code) {
		ttrpc_fail(call, &e);
		return;
	}
	s->sandbox = NEW(struct sandbox);
	s->sandbox->id = xstrdup(q->sandbox_id);
	clock_gettime(CLOCK_REALTIME, &s->sandbox->created);
	ttrpc_reply(call, NULL);
}

void sandbox_start(struct ttrpc_call *call)
{
	const V1(StartSandboxRequest) *q = call->req;
	V1(StartSandboxResponse) r = V1_INIT(START_SANDBOX_RESPONSE);
	Google__Protobuf__Timestamp at;
	struct err e = { 0 };
	struct sandbox *sb = get(call->user, q->sandbox_id, &e);

	if (sb && sb->state != SANDBOX_CREATED)
		err_set(&e, ERR_FAILED_PRECONDITION, "sandbox %s was started before", sb->id);
	if (!sb || e.code) {
		ttrpc_fail(call, &e);
		return;
	}
	sb->state = SANDBOX_READY;
	at = stamp(sb->created);
	r.pid = (uint32_t)getpid();
	r.created_at = &at;
	ttrpc_reply(call, &r.base);
}

void sandbox_platform(struct ttrpc_call *call)
{
	V1(PlatformResponse) r = V1_INIT(PLATFORM_RESPONSE);
	Containerd__Types__Platform p = CONTAINERD__TYPES__PLATFORM__INIT;
	struct platform host = platform_host();

	p.os = host.os;
	p.architecture = host.arch;
	p.variant = host.variant;
	r.platform = &p;
	ttrpc_reply(call, &r.base);
}

static void answer_wait(const struct sandbox *sb, struct ttrpc_call *call)
{
	V1(WaitSandboxResponse) r = V1_INIT(WAIT_SANDBOX_RESPONSE);
	Google__Protobuf__Timestamp at = stamp(sb->exited);

	r.exited_at = &at;
	ttrpc_reply(call, &r.base);
}

static void on_killed(const struct err *e, UNUSED pid_t pid, UNUSED int console, UNUSED void *arg)
{
	if (e)
		log_warn(LOG({ "error", e->msg }), "cannot kill a paused container of the sandbox");
}

/* What stands still in a frozen cgroup is the runtime's to reach. */
static void kill_paused(const struct container *c)
{
	const struct oci_request q = {
		.verb = OCI_KILL, .id = c->id, .bundle = c->bundle, .sig = SIGKILL, .all = true
	};

	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_killed, NULL);
}

static void kill_containers(const struct shim *s)
{
	for (const struct container *c = s->containers; c; c = c->next) {
		if (c->init.pidfd < 0 || c->init.is_reaped)
			continue;
		if (c->init.state == PROC_PAUSED)
			kill_paused(c);
		else /* or it has just ended */
			(void)sys_pidfd_send_signal(c->init.pidfd, SIGKILL, NULL, 0);
	}
}

static void end(struct shim *s, struct sandbox *sb)
{
	if (sb->state == SANDBOX_STOPPED)
		return;
	sb->state = SANDBOX_STOPPED;
	clock_gettime(CLOCK_REALTIME, &sb->exited);
	kill_containers(s);
	while (sb->waiters) {
		struct call_list *n = sb->waiters;

		sb->waiters = n->next;
		n->call->on_cancel = NULL;
		answer_wait(sb, n->call);
		free(n);
	}
}

void sandbox_stop(struct ttrpc_call *call)
{
	const V1(StopSandboxRequest) *q = call->req;
	struct err e = { 0 };
	struct sandbox *sb = get(call->user, q->sandbox_id, &e);

	if (!sb) {
		ttrpc_fail(call, &e);
		return;
	}
	end(call->user, sb);
	ttrpc_reply(call, NULL);
}

/* The caller has gone: its Wait is forgotten. */
static void waiter_gone(struct ttrpc_call *call)
{
	struct sandbox *sb = call->data;
	struct err e = { 0 };

	call_list_remove(&sb->waiters, call);
	err_set(&e, ERR_CANCELLED, "context canceled");
	ttrpc_fail(call, &e);
}

void sandbox_wait(struct ttrpc_call *call)
{
	const V1(WaitSandboxRequest) *q = call->req;
	struct err e = { 0 };
	struct sandbox *sb = get(call->user, q->sandbox_id, &e);

	if (!sb) {
		ttrpc_fail(call, &e);
		return;
	}
	if (sb->state == SANDBOX_STOPPED) {
		answer_wait(sb, call);
		return;
	}
	call->data = sb;
	call->on_cancel = waiter_gone;
	call_list_add(&sb->waiters, call);
}

void sandbox_status(struct ttrpc_call *call)
{
	static const char *const names[] = {
		[SANDBOX_CREATED] = "SANDBOX_UNKNOWN",
		[SANDBOX_READY] = "SANDBOX_READY",
		[SANDBOX_STOPPED] = "SANDBOX_NOTREADY",
	};
	const V1(SandboxStatusRequest) *q = call->req;
	V1(SandboxStatusResponse) r = V1_INIT(SANDBOX_STATUS_RESPONSE);
	AUTO_ARENA struct arena *a = arena_new();
	V1(SandboxStatusResponse__InfoEntry) entry, *entries = &entry;
	Google__Protobuf__Timestamp created, exited;
	struct err e = { 0 };
	const struct sandbox *sb = get(call->user, q->sandbox_id, &e);

	if (!sb) {
		ttrpc_fail(call, &e);
		return;
	}
	containerd__runtime__sandbox__v1__sandbox_status_response__info_entry__init(&entry);
	created = stamp(sb->created);
	exited = stamp(sb->exited);
	r.sandbox_id = sb->id;
	r.pid = sb->state == SANDBOX_READY ? (uint32_t)getpid() : 0;
	r.state = (char *)names[sb->state];
	r.created_at = &created;
	if (sb->state == SANDBOX_STOPPED)
		r.exited_at = &exited;
	if (q->verbose) {
		entry.key = (char *)"info";
		entry.value = (char *)sandbox_info(call->user, a);
		r.info = &entries;
		r.n_info = 1;
	}
	ttrpc_reply(call, &r.base);
}

void sandbox_ping(struct ttrpc_call *call)
{
	const V1(PingRequest) *q = call->req;
	struct err e = { 0 };

	if (get(call->user, q->sandbox_id, &e))
		ttrpc_reply(call, NULL);
	else
		ttrpc_fail(call, &e);
}

/* With containers the shim stays: who deletes them asks again. */
void sandbox_shutdown(struct ttrpc_call *call)
{
	const V1(ShutdownSandboxRequest) *q = call->req;
	struct shim *s = call->user;
	struct err e = { 0 };
	struct sandbox *sb = get(s, q->sandbox_id, &e);

	if (sb && s->containers)
		err_set(&e, ERR_FAILED_PRECONDITION, "sandbox %s still has container %s", sb->id,
			s->containers->id);
	if (!sb || e.code) {
		ttrpc_fail(call, &e);
		return;
	}
	end(s, sb);
	s->hide(s);
	ttrpc_reply(call, NULL);
	s->sandbox = NULL;
	sandbox_free(sb);
	s->stop(s);
}
