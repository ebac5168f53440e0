/* BUNDLE/exit.json: how a container's init ended, written before anybody is told.  When the shim
 * dies later, `delete` still knows. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct exit_record {
	pid_t pid;
	uint32_t status;
	struct timespec at;
};

int exit_file_write(int bundlefd, const struct exit_record *x, struct err *e);

/* ERR_NOT_FOUND when it has not ended yet. */
int exit_file_read(int bundlefd, struct exit_record *ret, struct err *e);
