/* How a task ends: by Delete, or because its shim died. */
#include "task/internal.h"

#include "base/log.h"
#include "containerd/events/task.pb-c.h"
#include "loop/trace.h"

#include <time.h>

enum { STATUS_UNKNOWN = 255 };

static struct timespec now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

void task_publish(struct task *t, const char *topic, const char *type, const ProtobufCMessage *m)
{
	const struct tasks_env *env = t->ts->env;
	size_t n = protobuf_c_message_get_packed_size(m);
	AUTO_FREE void *bytes = xmalloc(n ?: 1);
	struct any any = { .type_url = type, .value = bytes, .n = n };
	struct err e = { 0 };

	protobuf_c_message_pack(m, bytes);
	if (env->publish(env->arg, now(), t->ns, topic, &any, &e) < 0)
		log_warn(LOG({ "id", t->id }, { "error", e.msg }), "cannot publish %s", topic);
}

/* What the shim would have said. */
static void publish_end(struct task *t, const struct task_exit *x, bool is_exit_known)
{
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Containerd__Events__TaskExit ex = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Containerd__Events__TaskDelete del = CONTAINERD__EVENTS__TASK_DELETE__INIT;

	at.seconds = x->at.tv_sec;
	at.nanos = (int32_t)x->at.tv_nsec;
	ex.container_id = ex.id = del.container_id = t->id;
	ex.pid = del.pid = x->pid;
	ex.exit_status = del.exit_status = x->status;
	ex.exited_at = del.exited_at = &at;
	if (!is_exit_known)
		task_publish(t, "/tasks/exit", "containerd.events.TaskExit", &ex.base);
	task_publish(t, "/tasks/delete", "containerd.events.TaskDelete", &del.base);
}

void task_bury(struct task *t, const struct task_exit *x, bool is_clean)
{
	TRACE_STEP("removal of the bundle");

	(void)task_set_phase(t, PHASE_GONE); /* from STARTING, LOST or DELETING */
	if (is_clean)
		bundle_remove(t);
	else /* by what is in it we, the next daemon, or a new task of that name, try again */
		bundle_unmount(t);
	tasks_remove(t->ts, t);
	if (!is_clean)
		again_note(t);
	task_waits_end(t, x);
}

void task_lost(struct task *t)
{
	struct task_exit x = { 0 };
	struct err e = { 0 };

	pthread_mutex_lock(&t->lock);
	struct task_state last = t->last;

	pthread_mutex_unlock(&t->lock);
	if (!task_set_phase(t, PHASE_LOST)) /* being deleted: the one who does it goes on */
		return;
	log_info(LOG({ "id", t->id }, { "namespace", t->ns }), "shim disconnected, cleaning up");
	bool is_clean = shim_delete(t, &x, &e) == 0;

	if (!is_clean) {
		log_warn(LOG({ "id", t->id }, { "namespace", t->ns }, { "error", e.msg }),
			 "failed to clean up after shim disconnected");
		if (!x.at.tv_sec)
			x.status = STATUS_UNKNOWN;
	}
	if (last.status == TASK_STOPPED)
		x = last.exit;
	if (!x.pid)
		x.pid = last.pid;
	if (!x.at.tv_sec)
		x.at = now();
	if (task_is_sandbox(t)) {
		sandbox_note_end(t, &x);
	} else {
		task_note_exit(t, &x);
		publish_end(t, &x, last.status == TASK_STOPPED);
	}
	task_bury(t, &x, is_clean);
}

static int call_delete(struct task *t, const char *exec_id, struct task_exit *ret, struct err *e)
{
	Containerd__Task__V3__DeleteRequest req = CONTAINERD__TASK__V3__DELETE_REQUEST__INIT;
	Containerd__Task__V3__DeleteResponse *rsp = NULL;

	req.id = t->id;
	req.exec_id = (char *)(exec_id ?: "");
	if (task_call(t, "Delete", t->ts->env->timeouts.start, &req,
		      &containerd__task__v3__delete_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	*ret = (struct task_exit){ rsp->pid, rsp->exit_status, task_time(rsp->exited_at) };
	containerd__task__v3__delete_response__free_unpacked(rsp, NULL);
	return 0;
}

/* True when the shim said goodbye; it ends only with its last container. */
static bool shut_down(struct task *t)
{
	Containerd__Task__V3__ShutdownRequest req = CONTAINERD__TASK__V3__SHUTDOWN_REQUEST__INIT;
	struct err e = { 0 };

	req.id = t->id;
	if (!task_call(t, "Shutdown", t->ts->env->timeouts.shutdown, &req, NULL, NULL, &e))
		return true;
	if (e.code == ERR_UNAVAILABLE) /* it closed the connection before it answered: as good */
		return true;
	log_warn(LOG({ "id", t->id }, { "error", e.msg }), "failed to shut down the shim");
	if (e.code == ERR_DEADLINE_EXCEEDED)
		task_kill_wedged(t);
	return false;
}

static int delete_init(struct task *t, struct task_exit *ret, struct err *e)
{
	struct err failed = { 0 };
	struct task_exit x = { 0 };
	bool is_clean = true;

	if (!task_set_phase(t, PHASE_DELETING))
		return err_set(e, ERR_FAILED_PRECONDITION, "task %s is being deleted", t->id);
	if (call_delete(t, NULL, &x, &failed) < 0) {
		if (failed.code != ERR_NOT_FOUND && failed.code != ERR_UNAVAILABLE) {
			task_alive(t);
			return err_copy(e, &failed);
		}
		is_clean = false;
	}
	if (!t->is_sandboxed && !shut_down(t))
		is_clean = false;
	/* After a clean end the shim's delete verb would find nothing: it is a program start that
	 * every container would pay for. */
	if (!is_clean) {
		struct err bad = { 0 };
		struct task_exit verb = { 0 };

		is_clean = shim_delete(t, &verb, &bad) == 0;
		if (!is_clean)
			log_warn(LOG({ "id", t->id }, { "error", bad.msg }), "failed to clean up");
		if (failed.code == ERR_UNAVAILABLE && verb.at.tv_sec)
			x = verb;
	}
	task_bury(t, &x, is_clean);
	if (failed.code == ERR_NOT_FOUND)
		return err_copy(e, &failed);
	*ret = x;
	return 0;
}

int task_delete(struct task *t, const char *exec_id, struct task_exit *ret, struct err *e)
{
	if (exec_id && *exec_id) {
		int r = call_delete(t, exec_id, ret, e);

		if (r == 0 || e->code == ERR_NOT_FOUND)
			remains_remove_fifos(t, exec_id);
		return r;
	}
	return delete_init(t, ret, e);
}
