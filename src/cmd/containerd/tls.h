/* TLS in front of a server that knows nothing of it: connections to a listening TCP socket are
 * decrypted on a thread of their own, and each becomes one end of a socket pair.
 *
 * libssl is loaded when it is configured: the daemon's start and memory do without it. */
#pragma once

#include "base/err.h"

/* PEM files.  ca "": clients need no certificate; else one that it has signed. */
struct tls_files {
	const char *certificate, *key, *ca;
};

struct tls;

/* Reads the files; the errors name them. */
int tls_new(const struct tls_files *files, struct tls **ret, struct err *e);

/* Takes connections until tls_free().  give() gets the other end of each, on the TLS thread. */
typedef void tls_give_fn(int fd_take, void *arg);
int tls_serve(struct tls *t, int listening_fd_take, tls_give_fn *give, void *arg, struct err *e);

/* Its connections end; any thread but its own.  NULL is fine. */
void tls_free(struct tls *t);
