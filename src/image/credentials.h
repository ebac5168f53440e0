/* The operator's own credentials for registries, read anew for every transfer: auth.toml in a
 * certs.d folder.
 *
 *	docker_config = "/root/.docker/config.json"	what `docker login` wrote counts, too
 *	credential_helper = "pass"	docker-credential-pass, for hosts without a table
 *	[auth."registry.example.com:5000"]
 *	username = "me"
 *	password = "…"	or identity_token, or credential_helper
 *
 * A host's credentials are that host's, with its port, and nobody else's.  A file that others can
 * read, or a helper that fails, is an error: never another credential instead. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

enum transfer_auth {
	TRANSFER_AUTH_NONE,
	TRANSFER_AUTH_PASSWORD,
	TRANSFER_AUTH_REFRESH,
	TRANSFER_AUTH_HEADER
};

struct transfer_credentials {
	enum transfer_auth type;
	const char *username, *secret; /* in the arena given to auth() */
	const char *source; /* where they are from, for people; "" or NULL: the client */
};

/* Is there any such file? */
bool credentials_exist(const char *const *dirs);

/* What dirs (NULL-terminated or NULL) have for host ("HOST[:PORT]"); TRANSFER_AUTH_NONE when they
 * have nothing.  ret->source says where it is from. */
int credentials_find(const char *const *dirs, const char *host, struct arena *a,
		     struct transfer_credentials *ret, struct err *e);

/* Of docker's config.json, the text of file. For tests, too. */
int credentials_docker(const char *text, size_t n, const char *file, const char *host,
		       struct arena *a, struct transfer_credentials *ret, struct err *e);
