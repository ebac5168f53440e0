#include "shim/reaper.h"

#include "base/mem.h"
#include "loop/loop.h"

#include <errno.h>
#include <sys/wait.h>

struct watch {
	pid_t pid;
	reaper_fn *fn;
	void *arg;
	struct watch *next;
};

struct exited {
	pid_t pid;
	uint32_t status;
	struct timespec at;
	struct exited *next;
};

struct reaper {
	struct watch *watches;
	struct exited *exited; /* of pids that nobody watches, while held */
	unsigned holds, ending;
	void (*none_ending)(void *arg);
	void *none_ending_arg;
};

static struct watch *watch_take(struct reaper *r, pid_t pid)
{
	for (struct watch **p = &r->watches; *p; p = &(*p)->next)
		if ((*p)->pid == pid) {
			struct watch *w = *p;

			*p = w->next;
			return w;
		}
	return NULL;
}

static void on_child(UNUSED const struct signalfd_siginfo *si, void *arg)
{
	struct reaper *r = arg;
	siginfo_t ci;

	/* One signal may stand for many children. */
	for (;;) {
		ci.si_pid = 0;
		if (waitid(P_ALL, 0, &ci, WEXITED | WNOHANG) < 0 || !ci.si_pid)
			return;

		uint32_t status = ci.si_code == CLD_EXITED ? (uint32_t)ci.si_status
							   : 128 + (uint32_t)ci.si_status;
		struct watch *w = watch_take(r, ci.si_pid);
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		if (w) {
			w->fn(status, now, w->arg);
			free(w);
		} else if (r->holds) {
			struct exited *x = NEW(struct exited);

			*x = (struct exited){ ci.si_pid, status, now, r->exited };
			r->exited = x;
		}
	}
}

struct reaper *reaper_new(struct loop *l)
{
	struct reaper *r = NEW(struct reaper);

	if (loop_signal(l, SIGCHLD, on_child, r) < 0)
		BUG("no signalfd for SIGCHLD");
	return r;
}

void reaper_watch(struct reaper *r, pid_t pid, reaper_fn *fn, void *arg)
{
	for (struct exited **p = &r->exited; *p; p = &(*p)->next)
		if ((*p)->pid == pid) {
			struct exited *x = *p;

			*p = x->next;
			fn(x->status, x->at, arg);
			free(x);
			return;
		}

	struct watch *w = NEW(struct watch);

	*w = (struct watch){ pid, fn, arg, r->watches };
	r->watches = w;
}

void reaper_unwatch(struct reaper *r, pid_t pid)
{
	free(watch_take(r, pid));
}

void reaper_hold(struct reaper *r)
{
	r->holds++;
}

void reaper_release(struct reaper *r)
{
	if (--r->holds)
		return;
	while (r->exited) {
		struct exited *x = r->exited;

		r->exited = x->next;
		free(x);
	}
}

static void check_ending(struct reaper *r)
{
	void (*fn)(void *arg) = r->none_ending;

	if (r->ending || !fn)
		return;
	r->none_ending = NULL;
	fn(r->none_ending_arg);
}

void reaper_ending(struct reaper *r)
{
	r->ending++;
}

void reaper_ended(struct reaper *r)
{
	r->ending--;
	check_ending(r);
}

void reaper_on_none_ending(struct reaper *r, void (*fn)(void *arg), void *arg)
{
	r->none_ending = fn;
	r->none_ending_arg = arg;
	check_ending(r);
}

void reaper_free(struct reaper *r)
{
	while (r->watches)
		reaper_unwatch(r, r->watches->pid);
	r->holds = 1;
	reaper_release(r);
	free(r);
}
