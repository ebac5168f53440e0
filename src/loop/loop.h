/* One thread's event loop over epoll: fds, timers, signals, child exits, calls from other threads.
 *
 * Ours instead of libuv: it is about 300 lines, links into the static shim without libuv's thread
 * pool and signal pipes, and has no handle life cycle of its own: a source is freed by the call
 * that removes it, inside its own callback too.
 *
 * All calls belong to the loop's thread but loop_post() and loop_stop().  A callback may remove
 * any source, itself too.  Failures of set-up are -errno. */
#pragma once

#include "base/macros.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;
struct loop_io;
struct loop_timer;

struct loop *loop_new(void);
void loop_free(struct loop *l); /* removes what is left; fds stay open: they are the caller's */

/* Until loop_stop() (any thread, signal-safe). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* events: EPOLLIN | EPOLLOUT, level-triggered; EPOLLERR and EPOLLHUP always come. fd is borrowed.
 */
typedef void loop_io_fn(struct loop_io *io, uint32_t events, void *arg);
int loop_io_add(struct loop *l, int fd, uint32_t events, loop_io_fn *fn, void *arg,
		struct loop_io **ret);
void loop_io_set(struct loop_io *io, uint32_t events); /* 0 pauses (errors still come) */
void loop_io_remove(struct loop_io *io); /* NULL is fine; before close(fd) */

/* Fires once, after ns nanoseconds; set again from the callback to repeat. */
typedef void loop_timer_fn(struct loop_timer *t, void *arg);
struct loop_timer *loop_timer_add(struct loop *l, uint64_t ns, loop_timer_fn *fn, void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t ns);
void loop_timer_remove(struct loop_timer *t); /* NULL is fine; a fired timer must be removed too */

/* Blocks sig for the process and delivers it here (signalfd). One handler a signal. */
typedef void loop_signal_fn(const struct signalfd_siginfo *si, void *arg);
int loop_signal(struct loop *l, int sig, loop_signal_fn *fn, void *arg);

/* Any thread: fn(arg) runs soon on the loop's thread, in the order of the posts of one thread. */
typedef void loop_post_fn(void *arg);
void loop_post(struct loop *l, loop_post_fn *fn, void *arg);

/* For a callback that waits in its own way: readable when a source has something to say (borrowed),
 * and the nanoseconds until the next timer is due, UINT64_MAX without one. */
int loop_fd(const struct loop *l);
uint64_t loop_next_timer(const struct loop *l);

uint64_t loop_now(void); /* CLOCK_MONOTONIC, ns */
