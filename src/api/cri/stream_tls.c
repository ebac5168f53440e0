#include "api/cri/stream_tls.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/tls_library.h"

#include <string.h>

enum { OUT_MAX = 1 << 20, RECORD = 16 << 10, CERTIFICATE_DAYS = 365 };

struct stream_tls {
	struct tls_library api;
	SSL_CTX *ctx;
};

struct stream_tls_conn {
	const struct tls_library *api;
	SSL *ssl;
	BIO *in, *from; /* ssl's */
	struct str out;
};

/* --- who we are --- */

static bool add_names(const struct tls_library *a, X509 *x)
{
	X509_EXTENSION *names = a->X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
						       "IP:127.0.0.1,IP:::1,DNS:localhost");
	bool is_done = names && a->X509_add_ext(x, names, -1) == 1;

	a->X509_EXTENSION_free(names);
	return is_done;
}

static bool fill(const struct tls_library *a, X509 *x, EVP_PKEY *key)
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
	const struct tls_library *a = &t->api;
	EVP_PKEY *key = a->EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = a->X509_new();
	bool is_done = key && x && fill(a, x, key) && a->SSL_CTX_use_certificate(t->ctx, x) == 1 &&
		       a->SSL_CTX_use_PrivateKey(t->ctx, key) == 1;
	int r = is_done ? 0 : tls_library_refuse(a, "make", "a self-signed certificate", e);

	a->X509_free(x);
	a->EVP_PKEY_free(key);
	return r;
}

int stream_tls_open(const char *cert, const char *key, struct stream_tls **ret, struct err *e)
{
	struct stream_tls *t = NEW(struct stream_tls);
	int r = tls_library_load(&t->api, e);

	if (r == 0)
		r = tls_library_context(&t->api, &t->ctx, e);
	if (r == 0)
		r = *cert ? tls_library_key_pair(&t->api, t->ctx, cert, key, e)
			  : make_certificate(t, e);
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
