/* The streams of a container's process, seen from the client: it makes the fifos, the shim opens
 * the other ends (docs of the stdio contract: the client makes and removes them).
 *
 * One poll loop carries bytes, terminal size, signals and the reply of Tasks.Wait. */
#pragma once

#include "cmd/ctr/ctr.h"

struct task_io {
	struct ctr *ctr;
	const char *id, *exec_id; /* exec_id "": the container's first process */
	const char *dir; /* of our fifos, removed at the end; NULL: not ours */
	const char *in, *out, *err; /* for the request; "": not wanted */
	const char *log; /* for the request in place of out and err; NULL: no log is kept */
	bool terminal;
	bool close_on_eof; /* the end of our input is the end of the process' */
	int in_fd, out_fd, err_fd; /* our ends, -1: none */
};

/* New fifos under fifo_dir ("" = the default place). */
int task_io_create(struct ctr *ctr, const char *fifo_dir, const char *id, const char *exec_id,
		   bool terminal, struct task_io *ret, struct err *e);
/* No streams, or a log in place of them. */
void task_io_null(struct ctr *ctr, const char *id, const char *log_uri, struct task_io *ret);
/* The streams of a process that runs. */
void task_io_attach(struct ctr *ctr, const Containerd__V1__Types__Process *p, struct task_io *ret);

/* Opens the reading ends: before the request that makes the process. */
int task_io_open(struct task_io *io, struct err *e);
/* Closes what is open. The fifos stay. */
void task_io_close(struct task_io *io);
/* Removes fifos (and their folder when it is empty): those of io, or of a process' record. */
void task_io_remove(struct task_io *io);
void task_io_remove_paths(const char *in, const char *out, const char *err);

/* The terminal in raw mode; nothing when io has none.  Fails when no terminal is there. */
int terminal_begin(const struct task_io *io, struct err *e);
void terminal_end(void);

/* Tells the process the terminal's size now; failures do not matter. */
void terminal_resize(struct task_io *io);

/* Opens Tasks.Wait: before Tasks.Start. */
int task_wait_open(struct task_io *io, struct grpc_stream **ret, struct err *e);

/* Carries everything until the process has ended and its output is drained.  *ret: its exit
 * status.  *ret_signal: not 0 when a signal took us away from a terminal session. */
int task_io_run(struct task_io *io, struct grpc_stream *wait, uint32_t *ret, int *ret_signal,
		struct err *e);
