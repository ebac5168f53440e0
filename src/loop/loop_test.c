#include "loop/loop.h"

#include "base/test.h"

#include <fcntl.h>
#include <pthread.h>

struct seen {
	struct loop *loop;
	int order[8], n;
	struct loop_io *io;
};

static void tick(struct loop_timer *t, void *arg)
{
	struct seen *s = arg;

	s->order[s->n++] = 1;
	loop_timer_remove(t);
}

static void late(struct loop_timer *t, void *arg)
{
	struct seen *s = arg;

	s->order[s->n++] = 2;
	loop_timer_remove(t);
	loop_stop(s->loop);
}

TEST(timers_fire_in_order)
{
	struct seen s = { .loop = loop_new() };

	loop_timer_add(s.loop, 20000000, late, &s);
	loop_timer_add(s.loop, 1000000, tick, &s);
	loop_timer_remove(loop_timer_add(s.loop, 2000000, tick, &s));
	loop_run(s.loop);
	CHECK(s.n == 2 && s.order[0] == 1 && s.order[1] == 2);
	loop_free(s.loop);
}

static void readable(struct loop_io *io, uint32_t events, void *arg)
{
	struct seen *s = arg;

	CHECK(events & EPOLLIN);
	loop_io_remove(io); /* level-triggered: it would come for ever */
	s->order[s->n++] = 3;
	loop_stop(s->loop);
}

static void *writer(void *fd)
{
	CHECK(write(*(int *)fd, "x", 1) == 1);
	return NULL;
}

TEST(a_callback_may_remove_itself)
{
	struct seen s = { .loop = loop_new() };
	int p[2];
	pthread_t t;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	CHECK(loop_io_add(s.loop, p[0], EPOLLIN, readable, &s, &s.io) == 0);
	CHECK(pthread_create(&t, NULL, writer, &p[1]) == 0);
	loop_run(s.loop);
	CHECK(s.n == 1);
	pthread_join(t, NULL);
	loop_free(s.loop);
	close(p[0]);
	close(p[1]);
}

static void posted(void *arg)
{
	struct seen *s = arg;

	s->n++;
	if (s->n == 100)
		loop_stop(s->loop);
}

static void *poster(void *arg)
{
	struct seen *s = arg;

	for (int i = 0; i < 100; i++)
		loop_post(s->loop, posted, s);
	return NULL;
}

TEST(posts_from_another_thread_arrive)
{
	struct seen s = { .loop = loop_new() };
	pthread_t t;

	CHECK(pthread_create(&t, NULL, poster, &s) == 0);
	loop_run(s.loop);
	pthread_join(t, NULL);
	CHECK(s.n == 100);
	loop_free(s.loop);
}

static void on_usr1(const struct signalfd_siginfo *si, void *arg)
{
	struct seen *s = arg;

	s->n = (int)si->ssi_signo;
	loop_stop(s->loop);
}

TEST(signals_arrive_by_the_loop)
{
	struct seen s = { .loop = loop_new() };

	CHECK(loop_signal(s.loop, SIGUSR1, on_usr1, &s) == 0);
	raise(SIGUSR1);
	loop_run(s.loop);
	CHECK(s.n == SIGUSR1);
	loop_free(s.loop);
}
