/* What a transfer is doing: a tree with bars on a terminal, one line a change elsewhere. */
#pragma once

#include "cmd/ctr/ctr.h"

struct progress;

struct progress *progress_new(FILE *out, bool is_terminal);
void progress_free(struct progress *p); /* NULL is fine */

/* One report of the daemon; its texts are shown with control characters taken out. */
void progress_event(struct progress *p, const Containerd__Types__Transfer__Progress *m);

/* Draws what has changed (terminals only); cheap to call often. */
void progress_draw(struct progress *p);

/* The last picture stays. */
void progress_end(struct progress *p);
