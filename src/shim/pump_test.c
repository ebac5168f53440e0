#include "shim/pump.h"

#include "base/mem.h"
#include "base/test.h"
#include "loop/loop.h"
#include "os/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

struct ends {
	struct loop *loop;
	struct pump *pump;
	int n;
};

static void ended(void *arg)
{
	struct ends *s = arg;

	s->n++;
	loop_stop(s->loop);
}

static void enough(UNUSED struct loop_timer *t, void *arg)
{
	loop_stop(arg);
}

static void run_for(struct loop *l, uint64_t ms)
{
	struct loop_timer *t = loop_timer_add(l, ms * 1000000u, enough, l);

	loop_run(l);
	loop_timer_remove(t);
}

static void pipe_make(int p[2])
{
	CHECK(pipe2(p, O_CLOEXEC) == 0);
}

TEST(between_pipes_to_the_end)
{
	struct ends s = { .loop = loop_new() };
	int a[2], b[2];
	char buf[16];

	pipe_make(a);
	pipe_make(b);
	s.pump = pump_new(s.loop, a[0], b[1], ended, &s);
	CHECK(write(a[1], "hello", 5) == 5);
	run_for(s.loop, 30);
	CHECK(s.n == 0 && read(b[0], buf, sizeof buf) == 5);
	close(a[1]);
	run_for(s.loop, 1000);
	CHECK(s.n == 1 && read(b[0], buf, sizeof buf) == 0);
	pump_free(s.pump);
	close(b[0]);
	loop_free(s.loop);
}

/* The reader sleeps: what has no room waits in the pipe of the writer. */
TEST(a_slow_reader_loses_nothing)
{
	struct ends s = { .loop = loop_new() };
	int a[2], b[2];
	static char big[300000], got[300000];
	size_t sent = 0, n = 0;

	pipe_make(a);
	pipe_make(b);
	CHECK(fd_set_nonblock(a[1], true) == 0 && fd_set_nonblock(b[0], true) == 0);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 31 >> 3);
	s.pump = pump_new(s.loop, a[0], b[1], ended, &s);
	for (int round = 0; round < 200 && n < sizeof big; round++) {
		ssize_t w = sent < sizeof big ? write(a[1], big + sent, sizeof big - sent) : 0;

		sent += w > 0 ? (size_t)w : 0;
		if (sent == sizeof big && a[1] >= 0) {
			close(a[1]);
			a[1] = -1;
		}
		run_for(s.loop, 2);
		for (;;) {
			ssize_t r = read(b[0], got + n, sizeof got - n);

			if (r <= 0)
				break;
			n += (size_t)r;
		}
	}
	CHECK(n == sizeof big && !memcmp(big, got, n));
	run_for(s.loop, 50);
	CHECK(s.n == 1);
	pump_free(s.pump);
	close(b[0]);
	loop_free(s.loop);
}

TEST(nobody_takes_it)
{
	struct ends s = { .loop = loop_new() };
	int a[2], b[2];

	signal(SIGPIPE, SIG_IGN);
	pipe_make(a);
	pipe_make(b);
	close(b[0]);
	s.pump = pump_new(s.loop, a[0], b[1], ended, &s);
	CHECK(write(a[1], "x", 1) == 1);
	run_for(s.loop, 1000);
	CHECK(s.n == 1);
	pump_free(s.pump);
	close(a[1]);
	loop_free(s.loop);
}

/* splice(2) refuses files opened for appending, and terminals. */
TEST(to_a_log_file_and_from_a_terminal)
{
	struct ends s = { .loop = loop_new() };
	char path[] = "/tmp/pump-XXXXXX", buf[64] = "";
	int a[2], file = mkostemp(path, O_APPEND | O_CLOEXEC);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	CHECK(file >= 0 && master >= 0);
	pipe_make(a);
	s.pump = pump_new(s.loop, a[0], fd_copy(file), ended, &s);
	CHECK(write(a[1], "one\n", 4) == 4);
	close(a[1]);
	run_for(s.loop, 1000);
	pump_free(s.pump);

	CHECK(!grantpt(master) && !unlockpt(master));
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(slave >= 0 && write(slave, "two\n", 4) == 4);
	s.pump = pump_new(s.loop, master, fd_copy(file), ended, &s);
	run_for(s.loop, 30);
	close(slave);
	run_for(s.loop, 1000);
	CHECK(s.n == 2);
	pump_free(s.pump);
	CHECK(pread(file, buf, sizeof buf - 1, 0) == 9);
	CHECK_STR(buf, "one\ntwo\r\n");
	close(file);
	unlink(path);
	loop_free(s.loop);
}

static void count(UNUSED const char *bytes, size_t n, void *arg)
{
	*(size_t *)arg += n;
}

TEST(a_tee_without_a_reader_never_stops)
{
	char dir[] = "/tmp/casco-tee-XXXXXX", path[64], buf[4096] = { 0 };
	struct ends s = { .loop = loop_new() };
	size_t seen = 0, got = 0;
	int a[2], keep, to, reader;
	struct pump_tee tee = { count, &seen, &keep, 0 };

	signal(SIGPIPE, SIG_IGN);
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/fifo", dir);
	CHECK(mkfifo(path, 0600) == 0);
	keep = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	to = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(keep >= 0 && to >= 0);
	pipe_make(a);
	CHECK(fd_set_nonblock(a[1], true) == 0);
	s.pump = pump_new_tee(s.loop, a[0], to, &tee, ended, &s);
	for (int i = 0; i < 64; i++) { /* four times what the fifo holds */
		CHECK(write(a[1], buf, sizeof buf) == sizeof buf);
		run_for(s.loop, 1);
	}
	run_for(s.loop, 30);
	CHECK(seen == 64 * sizeof buf && keep == -1);

	/* Somebody comes: from here on nothing is lost for him, however slow he is. */
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(reader >= 0);
	while (read(reader, buf, sizeof buf) > 0)
		;
	for (int i = 0; i < 32; i++) {
		(void)!write(a[1], buf, sizeof buf);
		run_for(s.loop, 1);
	}
	close(a[1]);
	for (ssize_t n = 1; n;) {
		n = read(reader, buf, sizeof buf);
		got += n > 0 ? (size_t)n : 0;
		if (s.n == 0)
			run_for(s.loop, 1);
	}
	CHECK(s.n == 1 && seen == 64 * sizeof buf + got && got >= 2 * 65536 - sizeof buf);
	pump_free(s.pump);
	close(reader);
	loop_free(s.loop);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
}

struct fifo {
	char dir[32], path[64];
	int keep, to;
};

static void fifo_make(struct fifo *f)
{
	memcpy(f->dir, "/tmp/casco-fifo-XXXXXX", sizeof "/tmp/casco-fifo-XXXXXX");
	CHECK(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/fifo", f->dir);
	CHECK(mkfifo(f->path, 0600) == 0);
	f->keep = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	f->to = open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(f->keep >= 0 && f->to >= 0);
}

static void fifo_remove(struct fifo *f)
{
	CHECK(unlink(f->path) == 0 && rmdir(f->dir) == 0);
}

/* Bytes that go into the pump within so many milliseconds. */
static size_t feed(struct loop *l, int to, int ms)
{
	char buf[4096] = { 0 };
	size_t n = 0;

	for (int i = 0; i < ms; i++) {
		for (ssize_t w; (w = write(to, buf, sizeof buf)) > 0;)
			n += (size_t)w;
		run_for(l, 1);
	}
	return n;
}

TEST(a_reader_who_went_away_holds_nobody_up)
{
	struct ends s = { .loop = loop_new() };
	struct fifo f;
	struct pump_tee tee = { NULL, NULL, &f.keep, 60 * 1000000u };
	char buf[4096];
	int a[2];

	signal(SIGPIPE, SIG_IGN);
	fifo_make(&f);
	pipe_make(a);
	CHECK(fd_set_nonblock(a[1], true) == 0);
	s.pump = pump_new_tee(s.loop, a[0], f.to, &tee, ended, &s);
	/* patience: both pipes fill up, and that is all */
	CHECK(feed(s.loop, a[1], 20) <= 3 * 65536 && f.keep >= 0);
	run_for(s.loop, 80);
	CHECK(feed(s.loop, a[1], 50) > 65536 && f.keep == -1); /* it flows again */
	/* who comes back has what is there, and from then on everything */
	int reader = open(f.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(reader >= 0);
	while (read(reader, buf, sizeof buf) > 0)
		;
	run_for(s.loop, 20);
	while (read(reader, buf, sizeof buf) > 0)
		;
	CHECK(write(a[1], "back", 4) == 4);
	run_for(s.loop, 20);
	CHECK(read(reader, buf, sizeof buf) == 4 && !memcmp(buf, "back", 4));
	close(a[1]);
	run_for(s.loop, 100);
	CHECK(s.n == 1 && read(reader, buf, sizeof buf) == 0);
	pump_free(s.pump);
	close(reader);
	fifo_remove(&f);
	loop_free(s.loop);
}

/* Slow is not gone: nothing is dropped, for as long as it takes. */
TEST(a_reader_who_sleeps_is_waited_for)
{
	struct ends s = { .loop = loop_new() };
	struct fifo f;
	struct pump_tee tee = { NULL, NULL, &f.keep, 20 * 1000000u };
	char buf[65536];
	size_t sent, got = 0;
	int a[2];

	signal(SIGPIPE, SIG_IGN);
	fifo_make(&f);
	int reader = open(f.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(reader >= 0);
	pipe_make(a);
	CHECK(fd_set_nonblock(a[1], true) == 0);
	s.pump = pump_new_tee(s.loop, a[0], f.to, &tee, ended, &s);
	sent = feed(s.loop, a[1], 100); /* five times its patience */
	close(a[1]);
	for (int i = 0; i < 500 && !(s.n && got == sent); i++) {
		for (ssize_t n; (n = read(reader, buf, sizeof buf)) > 0;)
			got += (size_t)n;
		if (!s.n)
			run_for(s.loop, 1);
	}
	CHECK(s.n == 1 && got == sent && sent >= 2 * 65536);
	pump_free(s.pump);
	close(reader);
	fifo_remove(&f);
	loop_free(s.loop);
}

TEST(a_busy_stream_gets_larger_pipes)
{
	struct ends s = { .loop = loop_new() };
	static char buf[65536];
	int a[2], b[2];

	pipe_make(a);
	pipe_make(b);
	CHECK(fd_set_nonblock(a[1], true) == 0 && fd_set_nonblock(b[0], true) == 0);
	int small = fcntl(b[0], F_GETPIPE_SZ);
	s.pump = pump_new(s.loop, a[0], b[1], ended, &s);
	CHECK(write(a[1], "x", 1) == 1);
	run_for(s.loop, 5);
	CHECK(fcntl(b[0], F_GETPIPE_SZ) == small); /* most streams are not busy */
	for (int i = 0; i < 40; i++) {
		(void)!write(a[1], buf, sizeof buf);
		run_for(s.loop, 1);
		while (read(b[0], buf, sizeof buf) > 0)
			;
	}
	CHECK(fcntl(b[0], F_GETPIPE_SZ) > small || small >= 1 << 20);
	pump_free(s.pump);
	close(a[1]);
	close(b[0]);
	loop_free(s.loop);
}
