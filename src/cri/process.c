/* First processes of pods and containers, whose namespaces others join by /proc/PID/ns.  A pid may
 * be another process's by then: one is known by its start time, too. */
#include "cri/private.h"
#include "os/process_record.h"

struct process process_of(uint32_t pid)
{
	struct process p = { .pid = pid };

	if (!pid || process_start((pid_t)pid, &p.start) < 0)
		p.start = 0; /* it has ended: nothing is it */
	return p;
}

static bool is_it(const struct process *p)
{
	uint64_t start;

	return p->pid && p->start && process_start((pid_t)p->pid, &start) == 0 && start == p->start;
}

int pod_process(struct pod *pod, struct arena *a, struct process *ret, struct err *e)
{
	struct cri *cri = pod->cri;
	AUTO_TASK struct task *t = NULL;
	struct task_state s;

	pthread_mutex_lock(&cri->lock);
	*ret = pod->process;
	pthread_mutex_unlock(&cri->lock);
	if (ret->pid)
		return 0;
	/* its shim did not say when the daemon started */
	if (task_get(cri->en->tasks, CRI_NAMESPACE, pod->id, &t, e) < 0 ||
	    task_state(t, NULL, a, &s, e) < 0)
		return err_wrap(e, "failed to get the process of sandbox \"%s\"", pod->id);
	*ret = process_of(s.pid);
	pthread_mutex_lock(&cri->lock);
	if (pod->is_ready)
		pod->process = *ret;
	pthread_mutex_unlock(&cri->lock);
	return 0;
}

static int check_pod(const struct box *box, struct arena *a, struct err *e)
{
	struct process p;

	if (pod_process(box->pod, a, &p, e) < 0)
		return -1;
	return is_it(&p) ? 0
			 : err_set(e, ERR_FAILED_PRECONDITION,
				   "sandbox container \"%s\" is not running", box->pod->id);
}

int box_check_joined(const struct box *box, struct arena *a, struct err *e)
{
	const char *target = box_target(box);
	struct process p;

	if (check_pod(box, a, e) < 0)
		return -1;
	if (!target)
		return 0;
	if (box_target_process(box, target, &p, e) < 0)
		return -1;
	return is_it(&p) ? 0
			 : err_set(e, ERR_FAILED_PRECONDITION,
				   "target container \"%s\" is not running", target);
}
