/* The daemon's ends of one process's streams, and who sits at them: one client of an exec, any
 * number of an attach.
 *
 * A process lives here until it has ended and its output has been read, also when its client has
 * left: what it says goes nowhere then, and its record is deleted at its end.  As with containerd
 * it runs on, but of those without a client a container has so many; then the oldest is killed. */
#include "api/cri/stream_priv.h"
#include "base/log.h"
#include "engine/engine.h"
#include "os/fd.h"
#include "task/task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct stream_process {
	struct stream_server *server;
	struct stream_process *next;
	struct stream_request *request;
	struct stream_ends ends;
	struct end {
		struct stream_process *process;
		int which;
		struct loop_io *io; /* NULL: nobody waits for it */
	} end[3];
	struct stream_seat *seats;
	struct loop_timer *stall; /* NULL: nobody holds up the others */
	struct str in;
	size_t in_at;
	unsigned jobs; /* on the pool or under way to us, the wait's too */
	uint64_t wait;
	uint16_t width, height;
	bool size_is_due, size_runs;
	bool is_started, has_exited, has_ended, in_ended, was_closed;
	bool keeps_record; /* it runs on without us */
	bool is_killed; /* it was one too many */
	uint32_t status;
	struct err failure;
};

/* --- its end --- */

static void drop_timer(struct stream_process *p)
{
	loop_timer_remove(p->stall);
	p->stall = NULL;
}

static void close_end(struct stream_process *p, int which)
{
	loop_io_remove(p->end[which].io);
	p->end[which].io = NULL;
	close_fd(&p->ends.fd[which]);
	p->ends.fd[which] = -1;
}

static void unlink_process(struct stream_process *p)
{
	struct stream_process **at = &p->server->processes;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	p->next = NULL;
}

static void process_free(struct stream_process *p)
{
	unlink_process(p);
	drop_timer(p);
	for (int i = 0; i < 3; i++)
		close_end(p, i);
	stream_ends_close(&p->ends);
	stream_request_free(p->request);
	str_done(&p->in);
	free(p);
}

static void free_if_done(struct stream_process *p)
{
	if (!p->seats && !p->jobs && p->has_ended)
		process_free(p);
}

static void unseat(struct stream_seat *seat)
{
	struct stream_seat **at = &seat->process->seats;

	while (*at != seat)
		at = &(*at)->next;
	*at = seat->next;
	seat->next = NULL;
	seat->process = NULL;
}

struct job {
	struct stream_process *process;
	void (*run)(struct job *j); /* on a pool's thread */
	void (*done)(struct job *j); /* on the loop's */
	uint16_t width, height;
	struct stream_ends ends;
	uint64_t wait;
	struct err e;
	struct task_exit exit;
};

static void on_job_done(void *arg)
{
	struct job *j = arg;
	struct stream_process *p = j->process;

	if (j->done)
		j->done(j);
	p->jobs--;
	free(j);
	free_if_done(p);
}

static void run_job(void *arg)
{
	struct job *j = arg;

	j->run(j);
	loop_post(j->process->server->loop, on_job_done, j);
}

static struct job *job_new(struct stream_process *p, void (*run)(struct job *j),
			   void (*done)(struct job *j))
{
	struct job *j = NEW(struct job);

	*j = (struct job){ .process = p, .run = run, .done = done };
	p->jobs++;
	return j;
}

static void job_start(struct job *j)
{
	pool_run(j->process->server->pool, run_job, j);
}

static void delete_record(struct job *j)
{
	/* Gone with its container already, or deleted by somebody: all that is wanted. */
	(void)task_delete(j->process->ends.task, j->process->ends.exec_id, &j->exit, &j->e);
}

static void end(struct stream_process *p)
{
	if (p->has_ended)
		return;
	p->has_ended = true;
	unlink_process(p); /* nobody joins it any more */
	if (p->is_started && p->ends.exec_id[0] && !p->keeps_record)
		job_start(job_new(p, delete_record, NULL));
	p->jobs++; /* it lives until the last one has been told */
	while (p->seats) {
		struct stream_seat *s = p->seats;

		unseat(s);
		s->ended(s, p->failure.code ? &p->failure : NULL, p->status);
	}
	p->jobs--;
	free_if_done(p);
}

static void kill_it(struct job *j)
{
	struct stream_process *p = j->process;

	/* It may have ended meanwhile. */
	(void)task_kill(p->ends.task, p->ends.exec_id, SIGKILL, false, &j->e);
}

static void close_output(struct stream_process *p)
{
	close_end(p, 1);
	close_end(p, 2);
}

/* A client of this container's has left: were there too many without one? */
static void bound_left_over(struct stream_server *s, const char *id)
{
	struct stream_process *oldest = NULL;
	size_t n = 0;

	for (struct stream_process *p = s->processes; p; p = p->next) { /* the newest first */
		if (p->request->kind != STREAM_EXEC || p->seats || !p->is_started || p->is_killed ||
		    strcmp(p->request->id, id) != 0)
			continue;
		oldest = p;
		n++;
	}
	if (n <= STREAM_LEFT_OVER)
		return;
	oldest->is_killed = true;
	close_output(oldest); /* which its children may have, and keep */
	log_warn(LOG({ "container", id }, { "exec", oldest->ends.exec_id }),
		 "an exec whose client has left is killed: there are too many");
	if (!oldest->has_exited)
		job_start(job_new(oldest, kill_it, NULL));
	else
		end(oldest);
}

static void end_if_over(struct stream_process *p)
{
	if (p->is_started && p->has_exited && p->ends.fd[1] < 0 && p->ends.fd[2] < 0)
		end(p);
}

/* --- output --- */

static size_t room_of_all(struct stream_process *p, int which)
{
	size_t room = STREAM_CHUNK;

	for (struct stream_seat *s = p->seats; s; s = s->next) {
		size_t n = s->room(s, which);

		if (!n && !s->stalled)
			s->stalled = loop_now();
		room = n < room ? n : room;
	}
	return room;
}

/* Those of an attach wait for each other, but not for ever. */
static void on_stall(UNUSED struct loop_timer *t, void *arg)
{
	struct stream_process *p = arg;
	uint64_t now = loop_now();
	struct stream_seat *next;
	struct err e = { 0 };

	err_set(&e, ERR_RESOURCE_EXHAUSTED, "the client takes no output");
	drop_timer(p);
	p->jobs++;
	for (struct stream_seat *s = p->seats; s; s = next) {
		next = s->next;
		if (!s->stalled || now - s->stalled < STREAM_STALL_NS)
			continue;
		stream_process_leave(s);
		s->ended(s, &e, 0);
	}
	p->jobs--;
	for (struct stream_seat *s = p->seats; s; s = next) {
		next = s->next;
		stream_process_room(s);
	}
	free_if_done(p);
}

static void on_output(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct end *x = arg;
	struct stream_process *p = x->process;
	size_t room = room_of_all(p, x->which);

	if (!room) {
		/* An end that is not waited for is not in the loop at all: it would tell of its
		 * writer's end again and again. */
		loop_io_remove(x->io);
		x->io = NULL;
		if (p->request->kind == STREAM_ATTACH && !p->stall)
			p->stall = loop_timer_add(p->server->loop, STREAM_STALL_NS, on_stall, p);
		return;
	}

	uint8_t *buf = p->server->buf2;
	ssize_t n = read(p->ends.fd[x->which], buf, room);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_end(p, x->which);
	for (struct stream_seat *s = p->seats, *next; s; s = next) {
		next = s->next;
		s->output(s, x->which, buf, n > 0 ? (size_t)n : 0, n <= 0);
	}
	if (n <= 0)
		end_if_over(p);
}

static void listen_to(struct stream_process *p, int which)
{
	struct end *x = &p->end[which];

	if (p->ends.fd[which] < 0 || x->io)
		return;
	if (loop_io_add(p->server->loop, p->ends.fd[which], EPOLLIN, on_output, x, &x->io) < 0)
		close_end(p, which); /* out of memory for a watch */
}

void stream_process_room(struct stream_seat *seat)
{
	struct stream_process *p = seat->process;

	if (!p || !p->is_started)
		return;
	if (seat->room(seat, 1) && seat->room(seat, 2))
		seat->stalled = 0;
	listen_to(p, 1);
	listen_to(p, 2);
}

/* --- input --- */

static void close_stdin(struct job *j)
{
	struct stream_process *p = j->process;

	/* It may have ended meanwhile. */
	(void)task_close_io(p->ends.task, p->ends.exec_id, &j->e);
}

static void on_input(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg);

static bool has_input_room(const struct stream_process *p)
{
	return p->in.len - p->in_at < STREAM_IN / 2;
}

static void tell_input_room(struct stream_process *p)
{
	for (struct stream_seat *s = p->seats, *next; s; s = next) {
		next = s->next;
		s->input_room(s);
	}
}

/* Writes what the process takes; whatever called it, who waits is told of room. */
static void push_input(struct stream_process *p)
{
	struct end *x = &p->end[0];

	while (p->ends.fd[0] >= 0 && p->in_at < p->in.len) {
		ssize_t n = write(p->ends.fd[0], p->in.ptr + p->in_at, p->in.len - p->in_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!x->io && loop_io_add(p->server->loop, p->ends.fd[0], EPOLLOUT,
						  on_input, x, &x->io) < 0)
				close_end(p, 0);
			break;
		}
		if (n < 0)
			close_end(p, 0); /* nobody reads it any more */
		else
			p->in_at += (size_t)n;
	}
	if (p->is_started && p->ends.fd[0] < 0)
		p->in_at = p->in.len; /* nor this */
	if (p->in_at == p->in.len) {
		str_reset(&p->in);
		p->in_at = 0;
		loop_io_remove(x->io);
		x->io = NULL;
	}
	str_compact(&p->in, &p->in_at);
	if (p->in_ended && !p->in.len && p->is_started && !p->was_closed && !p->has_exited) {
		p->was_closed = true;
		close_end(p, 0);
		job_start(job_new(p, close_stdin, NULL));
	}
	if (has_input_room(p))
		tell_input_room(p);
}

static void on_input(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct end *x = arg;
	struct stream_process *p = x->process;

	push_input(p);
}

bool stream_process_input(struct stream_seat *seat, const uint8_t *bytes, size_t n)
{
	struct stream_process *p = seat->process;

	if (!p || p->in_ended || (p->is_started && p->ends.fd[0] < 0))
		return true;
	str_addn(&p->in, bytes, n);
	push_input(p);
	return has_input_room(p);
}

void stream_process_input_end(struct stream_seat *seat)
{
	if (!seat->process || seat->process->in_ended)
		return;
	seat->process->in_ended = true;
	push_input(seat->process);
}

/* --- sizes --- */

static void resize(struct stream_process *p);

static void set_size(struct job *j)
{
	struct stream_process *p = j->process;

	(void)task_resize(p->ends.task, p->ends.exec_id, j->width, j->height, &j->e);
}

static void on_size_set(struct job *j)
{
	j->process->size_runs = false;
	resize(j->process);
}

/* One after the other; of those that come meanwhile the last one counts. */
static void resize(struct stream_process *p)
{
	if (!p->size_is_due || p->size_runs || !p->is_started || p->has_exited || p->has_ended)
		return;

	struct job *j = job_new(p, set_size, on_size_set);

	j->width = p->width;
	j->height = p->height;
	p->size_is_due = false;
	p->size_runs = true;
	job_start(j);
}

void stream_process_resize(struct stream_seat *seat, uint16_t width, uint16_t height)
{
	struct stream_process *p = seat->process;

	if (!p)
		return;
	p->width = width;
	p->height = height;
	p->size_is_due = true;
	resize(p);
}

/* --- its beginning --- */

static void on_exit_told(struct job *j)
{
	struct stream_process *p = j->process;

	p->has_exited = true;
	p->status = j->exit.status;
	if (j->e.code && p->request->kind == STREAM_EXEC)
		p->failure = j->e;
	if (p->has_ended)
		return;
	close_end(p, 0);
	push_input(p); /* who waits for the process to read waits no more */
	end_if_over(p);
}

/* Any thread. */
static void on_exit_known(const struct err *e, const struct task_exit *x, void *arg)
{
	struct job *j = arg;

	if (e)
		j->e = *e;
	if (x)
		j->exit = *x;
	loop_post(j->process->server->loop, on_job_done, j);
}

/* The wait's job was counted when the process was made: it is dropped where there is no wait. */
static void start(struct job *j)
{
	struct stream_process *p = j->process;
	struct job *wait = NEW(struct job);

	*wait = (struct job){ .process = p, .done = on_exit_told };
	if (stream_exec(p->server->en, p->request, on_exit_known, wait, &j->ends, &j->wait, &j->e) <
		    0 &&
	    !j->wait)
		free(wait); /* nobody else has it */
}

/* Nobody is there for an attach any more, or the daemon ends.  Its id stays what it is: a job on
 * the pool may be about to use it, and "" means the container's first process. */
static void forsake(struct stream_process *p)
{
	p->keeps_record = true;
	if (p->is_started && !p->has_exited)
		task_wait_cancel(p->server->en->tasks, p->wait);
	p->has_exited = true;
	for (int i = 0; i < 3; i++)
		close_end(p, i);
}

static void on_started(struct job *j)
{
	struct stream_process *p = j->process;

	if (j->e.code) {
		p->jobs -= !j->wait;
		p->failure = j->e;
		end(p);
		return;
	}
	p->ends = j->ends;
	p->wait = j->wait;
	p->is_started = true;
	if (p->server->is_stopping || (!p->seats && p->request->kind == STREAM_ATTACH)) {
		forsake(p);
		end(p);
		return;
	}
	if (!p->seats)
		p->in_ended = true;
	push_input(p);
	resize(p);
	listen_to(p, 1);
	listen_to(p, 2);
	if (!p->seats)
		bound_left_over(p->server, p->request->id);
	end_if_over(p);
}

static struct stream_process *find_attach(struct stream_server *s, const char *id)
{
	for (struct stream_process *p = s->processes; p; p = p->next)
		if (p->request->kind == STREAM_ATTACH && !p->has_exited &&
		    strcmp(p->request->id, id) == 0)
			return p;
	return NULL;
}

void stream_process_join(struct stream_server *s, struct stream_request *r,
			 struct stream_seat *seat)
{
	struct stream_process *p = r->kind == STREAM_ATTACH ? find_attach(s, r->id) : NULL;
	bool is_new = !p;

	if (is_new) {
		p = NEW(struct stream_process);
		*p = (struct stream_process){ .server = s,
					      .request = TAKE_PTR(r),
					      .ends = { .fd = { -1, -1, -1 } },
					      .in = STR_INIT(64 << 20),
					      .next = s->processes };
		for (int i = 0; i < 3; i++)
			p->end[i] = (struct end){ p, i, NULL };
		s->processes = p;
	}
	seat->process = p;
	seat->next = p->seats;
	p->seats = seat;
	stream_request_free(r);
	if (!is_new)
		return;
	p->jobs++; /* the wait's */
	job_start(job_new(p, start, on_started));
}

void stream_process_leave(struct stream_seat *seat)
{
	struct stream_process *p = seat->process;

	if (!p)
		return;
	unseat(seat);
	if (p->seats) {
		listen_to(p, 1); /* it may have been the one that held up the others */
		listen_to(p, 2);
		return;
	}
	drop_timer(p);
	if (!p->is_started)
		return; /* on_started() sees it */
	if (p->request->kind == STREAM_ATTACH) {
		forsake(p);
		end(p);
		return;
	}
	p->in_ended = true;
	push_input(p);
	listen_to(p, 1);
	listen_to(p, 2);
	bound_left_over(p->server, p->request->id);
}

void stream_processes_stop(struct stream_server *s)
{
	struct stream_process *next;

	for (struct stream_process *p = s->processes; p; p = next) {
		next = p->next;
		if (!p->is_started)
			continue; /* on_started() sees it */
		forsake(p);
		end(p);
	}
}
