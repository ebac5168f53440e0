/* Answers GET over HTTP/1.1, one request a connection: for [metrics] address and [debug] address.
 *
 * Own instead of a library's: what asks here is a scraper or an administrator's curl, and the
 * whole of it is shorter than a library's set-up.  Bounds: HTTP_CLIENTS at a time, 8 KiB of
 * request, HTTP_PATIENCE for a client to ask and to take its answer. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/pool.h"

enum { HTTP_CLIENTS = 8 };
#define HTTP_PATIENCE_NS 2000000000ull

/* On a pool thread: fills out for the path (without its query).  NULL: there is none such;
 * otherwise the content type. */
typedef const char *http_fn(void *arg, const char *path, struct str *out);

struct http;

/* Serves a listening socket, which it takes.  The loop's thread. */
int http_serve(struct loop *l, struct pool *p, int fd_take, http_fn *fn, void *arg,
	       struct http **ret, struct err *e);

/* After the pool has ended. NULL is fine. */
void http_free(struct http *h);

/* "HOST:PORT", HOST an address or empty: a listening socket. */
int http_listen_tcp(const char *address, int *ret, struct err *e);

/* What a request's bytes ask for: 200 with the path in *ret (the caller frees it), else the
 * status of the refusal. */
int http_parse(const char *request, char **ret);
