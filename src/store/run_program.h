/* A program of the host's, run to its end. */
#pragma once

#include "base/err.h"

/* argv[0] is looked for in PATH, argv ends with NULL, dirfd is its working folder.  What it says on
 * failure is the last line of its output.  Any thread. */
int run_program(int dirfd, const char *const *argv, struct err *e);
