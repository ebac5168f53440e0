/* --trace FILE: where the time of a command goes, from here through daemon, shim and runtime into
 * the container's init. */
#pragma once

#include "cmd/ctr/ctr.h"

/* fn's part of the command, whose flags have trace_flag.  Written are FILE, and beside it a picture
 * with .svg in place of .json, when it fails, too; problems with that are warnings: the command has
 * done its work, or has a better error. */
int traced(struct ctr *ctr, const struct args *args, const char *title, command_fn *fn,
	   struct err *e);

#define TRACE_FLAG                                                                 \
	{                                                                          \
		.name = "trace", .type = FLAG_STRING, .value = "FILE",             \
		.help = "write where the time goes, from here to the container's " \
			"init, to FILE (Perfetto's JSON) and its picture (.svg)"   \
	}
