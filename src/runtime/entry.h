/* What entry.c did before main(), in programs that begin there. */
#pragma once

/* A descriptor of the read-only mount that the program runs from, without close-on-exec; -1: none.
 * Weak: other programs do not have it. */
extern int entry_mount __attribute__((weak));

/* /proc/PID/cmdline shall end here, after argv's bytes were written anew.  0, or -errno. */
int entry_set_args_end(const char *end) __attribute__((weak));
