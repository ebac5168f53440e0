/* certs.d: which hosts stand in for a registry, and how to talk to them.
 *
 * DIR/HOST[:PORT]/hosts.toml (or HOST_PORT_, or _default), as containerd reads it; without one,
 * *.crt, *.cert and *.key of that folder as Docker reads them. */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct err;

struct host_config {
	const char *scheme; /* "http" or "https" */
	const char *host; /* with the port, if one was given */
	const char *path; /* "/v2", or what override_path says */
	bool can_pull, can_resolve, can_push, skip_verify;
	bool may_fall_back; /* this machine and nobody said a scheme: HTTP if it speaks no TLS */
	const char **ca; /* files, NULL-terminated */
	const char *cert, *key; /* files of a client certificate, or NULL */
	uint32_t dial_timeout_ms; /* 0: ours */
	const char **headers; /* "Name: value", NULL-terminated */
};

/* The mirrors in order and the registry itself last, in the arena. */
int hosts_load(const char *const *dirs, const char *domain, const char *default_scheme,
	       struct arena *a, struct host_config **ret, size_t *ret_n, struct err *e);

/* "DIR:DIR" as the configuration has it: NULL-terminated. */
const char **hosts_split_dirs(struct arena *a, const char *list);

/* One hosts.toml; folder is what relative file names start from.  For tests, too. */
int hosts_parse(const char *text, size_t n, const char *folder, const char *domain,
		const char *default_scheme, struct arena *a, struct host_config **ret,
		size_t *ret_n, struct err *e);

/* 127.0.0.0/8, ::1 or the name localhost, with or without a port: by the text alone, never by
 * what a name server says. */
bool hosts_is_local(const char *host);
