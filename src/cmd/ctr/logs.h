/* The logs that the shim's driver keeps for a container: where they are, and reading them. */
#pragma once

#include "cmd/ctr/task.h"

/* Folders that our daemon exports; "" where the daemon is another one. */
struct kept {
	const char *logs, *history, *networks; /* without namespace and id */
	bool has_own_shim; /* behind the default runtime's name is its own, and no other from PATH
			    */
	const char *publish_address, *publish_policy; /* of its network configuration */
};
int kept_find(struct ctr *ctr, struct kept *ret, struct err *e);

/* What the daemon's host has to say of a runtime; the caller frees it. options: NULL is none. */
int runtime_info(struct ctr *ctr, const char *runtime, Google__Protobuf__Any *options,
		 Containerd__Types__RuntimeInfo **ret, struct err *e);

/* --log-driver and --log-opt as the address that a task's streams get; out and err are the fifos
 * for those who attach.  *ret NULL: no log is kept, as where the runtime's shim is another's and
 * has no such driver; asked for one by name, that is an error. */
int log_uri_make(struct ctr *ctr, const char *runtime, const struct task_options *opt,
		 const struct task_io *io, const char **ret, struct err *e);

/* The folder of a container's log; ERR_NOT_FOUND when it has none. */
int log_folder(struct ctr *ctr, const char *id, const char **ret, struct err *e);

struct log_record {
	struct timespec time;
	bool is_stderr, is_partial;
	const char *text; /* without its newline; may hold NUL bytes */
	size_t len;
};
/* One line of a log file, in either of its forms; false: none.  text lives in *buf or line. */
bool log_record_parse(char *line, size_t n, struct str *buf, struct log_record *ret);

/* All records from the oldest one kept to the newest one now, in order.  -1 ends it. */
typedef int log_visit(const struct log_record *r, void *arg);

struct log_reader;
/* tail: how many of the last lines (SIZE_MAX: all). */
struct log_reader *log_reader_new(const char *dir, size_t tail);
/* What has come since the last call, also across rotations. */
int log_reader_run(struct log_reader *r, log_visit *visit, void *arg, struct err *e);
void log_reader_free(struct log_reader *r);
