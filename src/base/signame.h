/* The names of signals and Go's words for them, which clients see.  Not asked from libc: musl knows
 * no names and has other words, and its first real-time signal is another. */
#pragma once

#include <stdbool.h>

/* The first one of the kernel's real-time signals that glibc and Go leave to programs; and the
 * last. */
enum { SIGNAL_RTMIN = 34, SIGNAL_RTMAX = 64 };

const char *signal_name(int sig); /* "TERM"; NULL: it has none */
const char *signal_text(int sig); /* "terminated"; NULL likewise */
int signal_by_name(const char *name); /* without "SIG", in any case; 0: there is none */

/* What people write: "15", "TERM", "SIGTERM", "rtmin+3", "SIGRTMAX-2"; and, as Kubernetes has them,
 * "SIGRTMINPLUS3", "SIGRTMAXMINUS2".  0: it is no signal. */
int signal_by_word(const char *word);
