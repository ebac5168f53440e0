#include "loop/loop.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

struct loop_io {
	struct loop *loop;
	int fd;
	uint32_t events;
	loop_io_fn *fn; /* NULL once removed: freed at the end of the round */
	void *arg;
	struct loop_io *next, *prev;
};

struct loop_timer {
	struct loop *loop;
	uint64_t at; /* 0: not armed */
	loop_timer_fn *fn;
	void *arg;
	struct loop_timer *next, *prev; /* in l->timers, soonest first, while armed */
};

struct post {
	loop_post_fn *fn;
	void *arg;
	struct post *next;
};

struct signal_handler {
	loop_signal_fn *fn;
	void *arg;
};

struct loop {
	int epfd, wakefd, sigfd;
	atomic_bool stop;
	struct loop_io *ios, *dead;
	struct loop_timer *timers;
	struct loop_io *wake_io, *sig_io;
	struct signal_handler signals[_NSIG];
	sigset_t sigs;
	pthread_mutex_t lock; /* guards the posts; never held across a callback */
	struct post *posts, **posts_tail;
	atomic_bool has_posts;
	pthread_t runner; /* whose thread it is */
	atomic_bool is_running; /* and runner says something */
};

static bool is_ours(const struct loop *l)
{
	return atomic_load(&l->is_running) && pthread_equal(l->runner, pthread_self());
}

uint64_t loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int loop_io_add(struct loop *l, int fd, uint32_t events, loop_io_fn *fn, void *arg,
		struct loop_io **ret)
{
	struct loop_io *io = NEW(struct loop_io);
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int r = -errno;

		free(io);
		return r;
	}
	*io = (struct loop_io){ l, fd, events, fn, arg, l->ios, NULL };
	if (l->ios)
		l->ios->prev = io;
	l->ios = io;
	if (ret)
		*ret = io;
	return 0;
}

void loop_io_set(struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (events == io->events)
		return;
	io->events = events;
	if (epoll_ctl(io->loop->epfd, EPOLL_CTL_MOD, io->fd, &ev) < 0)
		BUG("loop_io_set on a closed fd");
}

void loop_io_remove(struct loop_io *io)
{
	if (!io || !io->fn)
		return;

	struct loop *l = io->loop;

	/* EBADF or ENOENT only when the caller closed the fd first: then it is out already. */
	(void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	io->fn = NULL;
	if (io->next)
		io->next->prev = io->prev;
	if (io->prev)
		io->prev->next = io->next;
	else
		l->ios = io->next;
	/* The round at hand may still hold a pointer to it. */
	io->next = l->dead;
	l->dead = io;
}

static void bury(struct loop *l)
{
	while (l->dead) {
		struct loop_io *io = l->dead;

		l->dead = io->next;
		free(io);
	}
}

struct loop_timer *loop_timer_add(struct loop *l, uint64_t ns, loop_timer_fn *fn, void *arg)
{
	struct loop_timer *t = NEW(struct loop_timer);

	*t = (struct loop_timer){ .loop = l, .fn = fn, .arg = arg };
	loop_timer_set(t, ns);
	return t;
}

static void disarm(struct loop_timer *t)
{
	if (!t->at)
		return;
	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		t->loop->timers = t->next;
	t->next = t->prev = NULL;
	t->at = 0;
}

void loop_timer_set(struct loop_timer *t, uint64_t ns)
{
	struct loop_timer *before = NULL;

	disarm(t);
	t->at = loop_now() + ns;
	for (struct loop_timer *o = t->loop->timers; o && o->at <= t->at; o = o->next)
		before = o;
	t->prev = before;
	t->next = before ? before->next : t->loop->timers;
	if (t->next)
		t->next->prev = t;
	if (before)
		before->next = t;
	else
		t->loop->timers = t;
}

void loop_timer_remove(struct loop_timer *t)
{
	if (!t)
		return;
	disarm(t);
	FREE_SHARED(t);
}

static void run_timers(struct loop *l)
{
	uint64_t now = loop_now();

	while (l->timers && l->timers->at <= now) {
		struct loop_timer *t = l->timers;

		disarm(t);
		t->fn(t, t->arg);
	}
}

uint64_t loop_next_timer(const struct loop *l)
{
	if (atomic_load(&l->has_posts)) /* our own, which wake nobody */
		return 0;
	if (!l->timers)
		return UINT64_MAX;

	uint64_t now = loop_now();

	return l->timers->at <= now ? 0 : l->timers->at - now;
}

static int timeout_ms(const struct loop *l)
{
	uint64_t ns = loop_next_timer(l);

	if (ns == UINT64_MAX)
		return -1;
	uint64_t ms = (ns + 999999) / 1000000;
	return ms > 3600000 ? 3600000 : (int)ms;
}

int loop_fd(const struct loop *l)
{
	return l->epfd;
}

static void on_wake(struct loop_io *io, UNUSED uint32_t events, UNUSED void *arg)
{
	uint64_t count;

	(void)!read(io->loop->wakefd, &count, sizeof count); /* EAGAIN: another round took it */
}

/* What they post in their turn is for the next round: sources must have theirs, too. */
static void run_posts(struct loop *l)
{
	if (!atomic_load(&l->has_posts))
		return;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->has_posts, false);
	struct post *p = l->posts;
	l->posts = NULL;
	l->posts_tail = &l->posts;
	pthread_mutex_unlock(&l->lock);
	while (p) {
		struct post *next = p->next;

		p->fn(p->arg);
		free(p);
		p = next;
	}
}

static void wake(struct loop *l)
{
	uint64_t one = 1;

	(void)!write(l->wakefd, &one, sizeof one); /* EAGAIN: it is awake already */
}

void loop_post(struct loop *l, loop_post_fn *fn, void *arg)
{
	struct post *p = NEW(struct post);

	*p = (struct post){ fn, arg, NULL };
	pthread_mutex_lock(&l->lock);
	/* Whoever posted first has woken the loop, or is the loop, which looks before it sleeps. */
	bool is_first = !l->posts;
	*l->posts_tail = p;
	l->posts_tail = &p->next;
	atomic_store(&l->has_posts, true);
	pthread_mutex_unlock(&l->lock);
	if (is_first && !is_ours(l))
		wake(l);
}

static void on_signal(struct loop_io *io, UNUSED uint32_t events, UNUSED void *arg)
{
	struct loop *l = io->loop;
	struct signalfd_siginfo si;

	while (read(l->sigfd, &si, sizeof si) == sizeof si)
		if (si.ssi_signo < _NSIG && l->signals[si.ssi_signo].fn)
			l->signals[si.ssi_signo].fn(&si, l->signals[si.ssi_signo].arg);
}

int loop_signal(struct loop *l, int sig, loop_signal_fn *fn, void *arg)
{
	int r;

	sigaddset(&l->sigs, sig);
	r = pthread_sigmask(SIG_BLOCK, &l->sigs, NULL);
	if (r)
		return -r;
	int fd = signalfd(l->sigfd, &l->sigs, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	l->signals[sig] = (struct signal_handler){ fn, arg };
	if (l->sigfd >= 0)
		return 0;
	l->sigfd = fd;
	return loop_io_add(l, fd, EPOLLIN, on_signal, NULL, &l->sig_io);
}

struct loop *loop_new(void)
{
	struct loop *l = NEW(struct loop);

	l->sigfd = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->posts_tail = &l->posts;
	sigemptyset(&l->sigs);
	pthread_mutex_init(&l->lock, NULL);
	if (l->epfd < 0 || l->wakefd < 0 ||
	    loop_io_add(l, l->wakefd, EPOLLIN, on_wake, NULL, &l->wake_io) < 0)
		BUG("cannot make an event loop"); /* out of fds at start-up: nothing would work */
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->ios)
		loop_io_remove(l->ios);
	bury(l);
	while (l->timers)
		loop_timer_remove(l->timers);
	while (l->posts) {
		struct post *p = l->posts;

		l->posts = p->next;
		free(p);
	}
	pthread_mutex_destroy(&l->lock);
	close_fd(&l->sigfd);
	close_fd(&l->wakefd);
	close_fd(&l->epfd);
	free(l);
}

void loop_run(struct loop *l)
{
	struct epoll_event events[64];

	l->runner = pthread_self();
	atomic_store(&l->is_running, true);
	while (!atomic_load(&l->stop)) {
		int n = epoll_wait(l->epfd, events, ARRAY_LEN(events), timeout_ms(l));

		if (n < 0 && errno != EINTR)
			BUG("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct loop_io *io = events[i].data.ptr;

			if (io->fn)
				io->fn(io, events[i].events, io->arg);
		}
		run_posts(l);
		run_timers(l);
		bury(l);
	}
	atomic_store(&l->is_running, false);
	atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}
