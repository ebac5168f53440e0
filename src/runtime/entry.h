/* What entry.c did before main(), in programs that begin there. */
#pragma once

/* A descriptor of the read-only mount that the program runs from, without close-on-exec; -1: none.
 * Weak: other programs do not have it. */
extern int entry_mount __attribute__((weak));
