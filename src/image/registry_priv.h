/* Inside the registry client: one HTTP request (registry_http.c), and the right to make it
 * (registry_auth.c). */
#pragma once

#include "base/str.h"
#include "image/hosts.h"
#include "image/registry.h"

#include <curl/curl.h>
#include <pthread.h>

/* A mirror or the registry itself.  The lock guards what it learnt; the config is fixed. */
struct endpoint {
	const struct host_config *cfg;
	const char *scheme; /* cfg's, or "http" after a fall-back */
	char *authorization; /* "Bearer …", "Basic …" or NULL; under the registry's lock */
	bool is_asked; /* for credentials */
	struct transfer_credentials credentials;
	struct curl_blob ca; /* what cfg->ca names and the system trusts; data NULL: the system's */
};

struct registry {
	struct arena *arena;
	struct reference ref;
	struct registry_config cfg;
	struct endpoint *endpoints;
	size_t n_endpoints;
	char *source;
	pthread_mutex_t lock; /* guards the arena, credentials and tokens */
	pthread_mutex_t auth_lock; /* one question for credentials at a time */
	CURL **idle; /* connections to use again; under lock */
	size_t n_idle, idle_cap;
};

enum { ERROR_BODY_MAX = 4096, MAX_CHALLENGES = 8 };

/* What a PUT or POST brings along: a file, or bytes. */
struct upload {
	int fd; /* -1: bytes */
	const char *bytes;
	uint64_t size;
	const char *type; /* Content-Type */
};

/* One request and what came back. */
struct exchange {
	const char *method; /* "GET", "HEAD", "POST", "PUT" */
	const char *url;
	const char *accept; /* NULL: anything */
	const char *authorization; /* NULL: none. Goes to url's own host only */
	const char *post; /* a form to send; NULL: none */
	const struct upload *upload; /* NULL: none.  Sent from its start, once a hop */
	const char *const *headers, *const *headers2; /* extra ones, to url's own host only */
	uint64_t offset; /* Range: bytes=offset- */
	const struct endpoint *tls; /* whose authorities and checks hold for this host */
	registry_sink_fn *sink; /* gets the body of a 2xx; NULL: dropped */
	void *arg;

	long status;
	int64_t length; /* Content-Length, -1 unknown */
	char *content_type, *digest, *retry_after;
	char *limit, *remaining; /* RateLimit-Limit, RateLimit-Remaining */
	char address[64]; /* who answered */
	long version; /* CURL_HTTP_VERSION_… */
	char *location; /* of an answer that is no redirect */
	struct strv challenges; /* WWW-Authenticate */
	struct str error_body; /* of other answers */
	bool is_foreign; /* a redirect led to another origin than url's: what it says is its own */
	bool is_partial; /* 206: the body starts at offset */
	bool sink_failed; /* *e is the sink's: no retry helps */
	bool tls_failed; /* the other side speaks no TLS */
	bool is_stalled; /* for as long as the caller's patience lasts: no retry */
	bool is_untrusted; /* or has, or we have, a certificate that does not do: no retry helps */
};

void exchange_done(struct exchange *x);

/* Performs it, redirects followed.  -1 is a broken connection or a failed sink; any status is 0. */
int registry_http(struct registry *r, struct exchange *x, struct err *e);

/* Shows the handle's requests on the standard error, without secrets. */
void registry_trace(CURL *c, enum transfer_debug what);

/* "scheme://host" of both are the same to the letter, ports as written. */
bool registry_same_origin(const char *a, const char *b);
/* What `location` means in an answer of base, as a whole URL; malloc'd, NULL when it is none. */
char *registry_absolute(const char *base, const char *location);

/* One endpoint's request, with its second chances.  The caller's sink may be given bytes of a
 * broken try: `offset` says where the next one goes on. */
struct request {
	const char *method, *accept;
	char *path; /* below the endpoint's base: "library/x/manifests/latest" */
	const char *url; /* instead: a whole one, as the registry said it; credentials only to its
			    own */
	const struct upload *upload;
	uint64_t offset; /* moves with what the sink took */
	registry_sink_fn *sink;
	void *arg;
};

/* 0 with x filled; -1 when this endpoint will not do.  *ret_final: nor will any other. */
int registry_ask(struct registry *r, struct endpoint *ep, struct request *q, struct exchange *x,
		 bool *ret_final, struct err *e);

/* Accept: of manifests and indexes. */
extern const char registry_document_types[];

/* Of the endpoints in their order, until one has it. */
int registry_ask_any(struct registry *r, struct request *q, bool resolve, struct exchange *x,
		     struct err *e);

/* The request's URL at ep, malloc'd. */
char *registry_url(const struct registry *r, const struct endpoint *ep, const struct request *q);

/* WWW-Authenticate, read: what of it we know. false: nothing. */
enum { CHALLENGE_PARAM_MAX = 2048 };
struct challenge {
	bool is_bearer, is_basic;
	char realm[CHALLENGE_PARAM_MAX], service[CHALLENGE_PARAM_MAX], scope[CHALLENGE_PARAM_MAX];
};
bool registry_read_challenges(const struct strv *l, struct challenge *ret);

/* After a 401: a fresh authorization for ep, or -1.  scope is "repository:PATH:pull". */
int registry_authorize(struct registry *r, struct endpoint *ep, const struct strv *challenges,
		       struct err *e);

/* What ep sends now (malloc'd or NULL). */
char *registry_authorization(struct registry *r, const struct endpoint *ep);

/* A status that is no success, in containerd's words, with the registry's own message. */
int registry_status_error(const struct registry *r, const struct exchange *x, struct err *e);
