/* What tune.h describes, done: scheduler, priorities, processors, memory policy, personality. */
#include "runtime/tune.h"

#include <errno.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IO_WHO_PROCESS = 1 };

/* The kernel's struct sched_attr, version 0; the C library has none. */
struct kernel_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_scheduler(const struct tune *t, struct err *e)
{
	const struct tune_scheduler *s = &t->scheduler;
	struct kernel_sched_attr attr = {
		.size = sizeof attr,
		.policy = s->policy,
		.flags = s->flags,
		.nice = s->nice,
		.priority = s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
		return 0;
	if (errno == EPERM && t->has_cpuset)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "process scheduler can't be used together with AllowedCPUs");
	return err_sys(e, errno, "error setting scheduler");
}

static int set_memory_policy(const struct tune *t, struct err *e)
{
	/* one more than there are bits: that is how the call counts */
	unsigned long n = t->memory_nodes.text ? TUNE_SET_BITS + 1 : 0;

	if (syscall(SYS_set_mempolicy, t->memory_mode, n ? t->memory_nodes.bits : NULL, n) < 0)
		return err_sys(e, errno, "set_mempolicy");
	return 0;
}

int tune_apply(const struct tune *t, struct err *e)
{
	if (t->has_scheduler && set_scheduler(t, e) < 0)
		return -1;
	if (t->has_io_priority && syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, t->io_priority) < 0)
		return err_sys(e, errno, "failed to set io priority");
	if (t->has_personality && personality(t->personality) < 0)
		return err_sys(e, errno, "error setting personality");
	return t->has_memory_policy ? set_memory_policy(t, e) : 0;
}

int tune_set_processors(int pid, const struct tune_set *s)
{
	struct tune_set all;

	if (!s) {
		memset(all.bits, 0xff, sizeof all.bits);
		s = &all;
	}
	return syscall(SYS_sched_setaffinity, pid, sizeof s->bits, s->bits) < 0 ? -errno : 0;
}

int tune_get_processors(struct tune_set *ret)
{
	*ret = (struct tune_set){ 0 };
	return syscall(SYS_sched_getaffinity, 0, sizeof ret->bits, ret->bits) < 0 ? -errno : 0;
}
