#include "api/cri/stream_tls.h"

#include "base/err.h"
#include "base/mem.h"

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#define LIBRARY "libssl.so.3" /* brings libcrypto, whose names it finds as well */

enum { OUT_MAX = 1 << 20, RECORD = 16 << 10, CERTIFICATE_DAYS = 365 };

#define FUNCTIONS(F)                          \
	F(TLS_server_method)                  \
	F(SSL_CTX_new)                        \
	F(SSL_CTX_free)                       \
	F(SSL_CTX_ctrl)                       \
	F(SSL_CTX_use_certificate_chain_file) \
	F(SSL_CTX_use_PrivateKey_file)        \
	F(SSL_CTX_use_certificate)            \
	F(SSL_CTX_use_PrivateKey)             \
	F(SSL_CTX_check_private_key)          \
	F(SSL_new)                            \
	F(SSL_free)                           \
	F(SSL_set_bio)                        \
	F(SSL_set_accept_state)               \
	F(SSL_read)                           \
	F(SSL_write)                          \
	F(SSL_get_error)                      \
	F(BIO_new)                            \
	F(BIO_s_mem)                          \
	F(BIO_write)                          \
	F(BIO_read)                           \
	F(ERR_clear_error)                    \
	F(ERR_get_error)                      \
	F(ERR_error_string_n)                 \
	F(EVP_PKEY_Q_keygen)                  \
	F(EVP_PKEY_free)                      \
	F(EVP_sha256)                         \
	F(X509_new)                           \
	F(X509_free)                          \
	F(X509_set_version)                   \
	F(X509_get_serialNumber)              \
	F(ASN1_INTEGER_set_uint64)            \
	F(X509_gmtime_adj)                    \
	F(X509_getm_notBefore)                \
	F(X509_getm_notAfter)                 \
	F(X509_set_pubkey)                    \
	F(X509_get_subject_name)              \
	F(X509_NAME_add_entry_by_txt)         \
	F(X509_set_issuer_name)               \
	F(X509V3_EXT_conf_nid)                \
	F(X509_add_ext)                       \
	F(X509_EXTENSION_free)                \
	F(X509_sign)

struct api {
#define MEMBER(name) typeof(name) *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
};

struct stream_tls {
	void *library;
	struct api api;
	SSL_CTX *ctx;
};

struct stream_tls_conn {
	const struct api *api;
	SSL *ssl;
	BIO *in, *from; /* ssl's */
	struct str out;
};

/* --- the library --- */

static int load(struct stream_tls *t, struct err *e)
{
	static const struct {
		const char *name;
		size_t at;
	} names[] = {
#define ROW(name) { #name, offsetof(struct api, name) },
		FUNCTIONS(ROW)
#undef ROW
	};

	t->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!t->library)
		return err_set(e, ERR_FAILED_PRECONDITION, "enable_tls_streaming: %s", dlerror());
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		void *symbol = dlsym(t->library, names[i].name);

		if (!symbol)
			return err_set(e, ERR_FAILED_PRECONDITION, "enable_tls_streaming: %s",
				       dlerror());
		memcpy((char *)&t->api + names[i].at, &symbol, sizeof symbol);
	}
	return 0;
}

static int failed(const struct api *a, const char *what, const char *path, struct err *e)
{
	char why[256];

	a->ERR_error_string_n(a->ERR_get_error(), why, sizeof why);
	a->ERR_clear_error();
	return err_set(e, ERR_INVALID_ARGUMENT, "%s %s: %s", what, path, why);
}

/* --- who we are --- */

static bool add_names(const struct api *a, X509 *x)
{
	X509_EXTENSION *names = a->X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
						       "IP:127.0.0.1,IP:::1,DNS:localhost");
	bool is_done = names && a->X509_add_ext(x, names, -1) == 1;

	a->X509_EXTENSION_free(names);
	return is_done;
}

static bool fill(const struct api *a, X509 *x, EVP_PKEY *key)
{
	X509_NAME *name = a->X509_get_subject_name(x);

	return a->X509_set_version(x, X509_VERSION_3) == 1 &&
	       a->ASN1_INTEGER_set_uint64(a->X509_get_serialNumber(x), 1) == 1 &&
	       a->X509_gmtime_adj(a->X509_getm_notBefore(x), -3600) &&
	       a->X509_gmtime_adj(a->X509_getm_notAfter(x), 86400l * CERTIFICATE_DAYS) &&
	       a->X509_set_pubkey(x, key) == 1 &&
	       a->X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					     (const unsigned char *)"containerd streaming", -1, -1,
					     0) == 1 &&
	       a->X509_set_issuer_name(x, name) == 1 && add_names(a, x) &&
	       a->X509_sign(x, key, a->EVP_sha256()) > 0;
}

/* Nobody can check it; the way is kept from those who only listen, as containerd does it. */
static int make_certificate(struct stream_tls *t, struct err *e)
{
	const struct api *a = &t->api;
	EVP_PKEY *key = a->EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = a->X509_new();
	bool is_done = key && x && fill(a, x, key) && a->SSL_CTX_use_certificate(t->ctx, x) == 1 &&
		       a->SSL_CTX_use_PrivateKey(t->ctx, key) == 1;
	int r = is_done ? 0 : failed(a, "make", "a self-signed certificate", e);

	a->X509_free(x);
	a->EVP_PKEY_free(key);
	return r;
}

static int load_certificate(struct stream_tls *t, const char *cert, const char *key, struct err *e)
{
	const struct api *a = &t->api;

	if (a->SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1)
		return failed(a, "load certificate", cert, e);
	if (a->SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    a->SSL_CTX_check_private_key(t->ctx) != 1)
		return failed(a, "load key", key, e);
	return 0;
}

int stream_tls_open(const char *cert, const char *key, struct stream_tls **ret, struct err *e)
{
	struct stream_tls *t = NEW(struct stream_tls);
	int r = load(t, e);

	if (r == 0) {
		t->ctx = t->api.SSL_CTX_new(t->api.TLS_server_method());
		if (!t->ctx)
			r = failed(&t->api, "make", "a TLS context", e);
	}
	if (r == 0) {
		(void)t->api.SSL_CTX_ctrl(t->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION,
					  NULL);
		(void)t->api.SSL_CTX_ctrl(t->ctx, SSL_CTRL_MODE,
					  SSL_MODE_ENABLE_PARTIAL_WRITE |
						  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
						  SSL_MODE_RELEASE_BUFFERS,
					  NULL);
		r = *cert ? load_certificate(t, cert, key, e) : make_certificate(t, e);
	}
	if (r < 0) {
		stream_tls_free(t);
		return -1;
	}
	*ret = t;
	return 0;
}

void stream_tls_free(struct stream_tls *t)
{
	if (!t)
		return;
	if (t->ctx)
		t->api.SSL_CTX_free(t->ctx);
	/* the library stays: it has registered what runs at the process's exit */
	free(t);
}

/* --- one connection --- */

struct stream_tls_conn *stream_tls_conn_new(struct stream_tls *t)
{
	struct stream_tls_conn *c = NEW(struct stream_tls_conn);

	c->api = &t->api;
	c->out = STR_INIT(OUT_MAX);
	c->ssl = t->api.SSL_new(t->ctx);
	c->in = t->api.BIO_new(t->api.BIO_s_mem());
	c->from = t->api.BIO_new(t->api.BIO_s_mem());
	if (!c->ssl || !c->in || !c->from)
		BUG("SSL_new"); /* out of memory, as everywhere */
	t->api.SSL_set_bio(c->ssl, c->in, c->from);
	t->api.SSL_set_accept_state(c->ssl);
	return c;
}

void stream_tls_conn_free(struct stream_tls_conn *c)
{
	if (!c)
		return;
	c->api->SSL_free(c->ssl); /* and the two with it */
	str_done(&c->out);
	free(c);
}

/* What TLS wants to say. */
static int collect(struct stream_tls_conn *c)
{
	uint8_t buf[4096];
	int n;

	while ((n = c->api->BIO_read(c->from, buf, sizeof buf)) > 0)
		str_addn(&c->out, buf, (size_t)n);
	return c->out.over ? -1 : 0;
}

static int result(struct stream_tls_conn *c, int n)
{
	int why = n > 0 ? SSL_ERROR_NONE : c->api->SSL_get_error(c->ssl, n);

	c->api->ERR_clear_error();
	if (collect(c) < 0)
		return -1;
	if (n > 0)
		return n;
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

int stream_tls_push(struct stream_tls_conn *c, const void *bytes, size_t n)
{
	return c->api->BIO_write(c->in, bytes, (int)n) == (int)n ? 0 : -1;
}

int stream_tls_read(struct stream_tls_conn *c, void *buf, size_t n)
{
	return result(c, c->api->SSL_read(c->ssl, buf, (int)n));
}

int stream_tls_write(struct stream_tls_conn *c, const void *bytes, size_t n)
{
	return result(c, c->api->SSL_write(c->ssl, bytes, n < RECORD ? (int)n : RECORD));
}

struct str *stream_tls_out(struct stream_tls_conn *c)
{
	return &c->out;
}
