/* TLS of the streaming server, as a machine: bytes of the peer in, bytes for the peer out.
 *
 * OpenSSL is loaded when the configuration asks for it (engine/tls_library.h): it costs more memory
 * than the daemon has otherwise.  The loop's thread. */
#pragma once

#include "base/str.h"

struct err;
struct stream_tls;
struct stream_tls_conn;

/* PEM files; both "": a certificate of our own making, new with each start. */
int stream_tls_open(const char *cert, const char *key, struct stream_tls **ret, struct err *e);
void stream_tls_free(struct stream_tls *t); /* NULL is fine */

struct stream_tls_conn *stream_tls_conn_new(struct stream_tls *t);
void stream_tls_conn_free(struct stream_tls_conn *c); /* NULL is fine */

/* Bytes of the peer.  -1: it is not TLS, or its end. */
int stream_tls_push(struct stream_tls_conn *c, const void *bytes, size_t n);
/* What they unpack to: more than 0 bytes; 0: nothing now; -1: the peer broke the rules. */
int stream_tls_read(struct stream_tls_conn *c, void *buf, size_t n);
/* Packs at most n bytes: how many; 0: the handshake is not over. */
int stream_tls_write(struct stream_tls_conn *c, const void *bytes, size_t n);
/* For the peer; taken from its front by the owner. */
struct str *stream_tls_out(struct stream_tls_conn *c);
