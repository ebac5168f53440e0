/* The three streams of one process: what the runtime gets, and the copying behind it.
 *
 *	streams_open	the container's ends: pipes, a log program, or nothing for a terminal
 *	(the runtime creates the process on streams_child)
 *	streams_start	opens what the client named and begins to copy; closes the container's ends
 *	streams_free	whatever is left
 *
 * Paths in a request: "" is not wanted; a path is a fifo that the client made, or a file to append
 * to; stdout may be a URI (file://, binary://, casco-log://).  Output fifos are opened for writing
 * and for reading, so that a client that goes away is neither an error nor the end, and another may
 * come. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct loop;
struct reaper;
struct streams;

struct streams_config {
	const char *in, *out, *err;
	bool terminal;
	uid_t uid; /* owner of the pipes */
	gid_t gid;
	const char *id, *ns; /* told to a log program */
	int bundlefd; /* where it is written down */
};

/* ready runs once the container's ends can be used (a log program says so), from inside or from
 * the loop; on failure it gets the error. */
typedef void streams_ready_fn(const struct err *e, void *arg);
int streams_open(struct loop *l, struct reaper *r, const struct streams_config *cfg,
		 streams_ready_fn *ready, void *arg, struct streams **ret, struct err *e);

/* What becomes 0, 1 and 2 in the process; -1 is /dev/null. Borrowed. */
const int *streams_child(const struct streams *s);

/* console: the terminal's master, consumed; -1 where there is none. */
int streams_start(struct streams *s, int console, struct err *e);

/* The paths that clients attach to, in place of a log's URI with fifos behind it. */
void streams_show(const struct streams *s, char **out, char **err);

/* Lets end of file through, once the clients are gone too. */
void streams_close_stdin(struct streams *s);

int streams_resize(struct streams *s, unsigned width, unsigned height, struct err *e);

/* fn(arg) runs once all output has been copied - from inside when that is so already.  NULL forgets
 * it. */
void streams_on_drained(struct streams *s, void (*fn)(void *arg), void *arg);

void streams_free(struct streams *s); /* NULL is fine */
