/* A file of an overlay's tree without mounting it: making a mount and letting go of it costs more
 * than all else that is asked of a root, and waits for every processor. */
#pragma once

#include "cmd/ctr/ctr.h"

enum layers_answer {
	LAYERS_FOUND, /* *ret_fd, for reading */
	LAYERS_ABSENT,
	LAYERS_UNKNOWN, /* a link, a layer that says more, no right to see it: only a mount can say
			 */
};

/* dir and name: one component each; a regular file or nothing. */
enum layers_answer layers_open(const Containerd__Types__Mount *m, const char *dir, const char *name,
			       int *ret_fd);
