/* libssl, as those need it who serve TLS: loaded when it is configured, for the daemon's start and
 * memory do without it.  What stands in front of which socket is the callers' own matter. */
#pragma once

#include "base/err.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* What is called of it and of libcrypto, by their own names. */
#define TLS_LIBRARY_CALLS(X)                  \
	X(ASN1_INTEGER_set_uint64)            \
	X(BIO_new)                            \
	X(BIO_read)                           \
	X(BIO_s_mem)                          \
	X(BIO_write)                          \
	X(ERR_clear_error)                    \
	X(ERR_get_error)                      \
	X(ERR_reason_error_string)            \
	X(EVP_PKEY_Q_keygen)                  \
	X(EVP_PKEY_free)                      \
	X(EVP_sha256)                         \
	X(SSL_CTX_check_private_key)          \
	X(SSL_CTX_ctrl)                       \
	X(SSL_CTX_free)                       \
	X(SSL_CTX_load_verify_locations)      \
	X(SSL_CTX_new)                        \
	X(SSL_CTX_set_alpn_select_cb)         \
	X(SSL_CTX_set_verify)                 \
	X(SSL_CTX_use_PrivateKey)             \
	X(SSL_CTX_use_PrivateKey_file)        \
	X(SSL_CTX_use_certificate)            \
	X(SSL_CTX_use_certificate_chain_file) \
	X(SSL_accept)                         \
	X(SSL_free)                           \
	X(SSL_get_error)                      \
	X(SSL_new)                            \
	X(SSL_read)                           \
	X(SSL_set_accept_state)               \
	X(SSL_set_bio)                        \
	X(SSL_set_fd)                         \
	X(SSL_shutdown)                       \
	X(SSL_write)                          \
	X(TLS_server_method)                  \
	X(X509V3_EXT_conf_nid)                \
	X(X509_EXTENSION_free)                \
	X(X509_NAME_add_entry_by_txt)         \
	X(X509_add_ext)                       \
	X(X509_free)                          \
	X(X509_get_serialNumber)              \
	X(X509_get_subject_name)              \
	X(X509_getm_notAfter)                 \
	X(X509_getm_notBefore)                \
	X(X509_gmtime_adj)                    \
	X(X509_new)                           \
	X(X509_set_issuer_name)               \
	X(X509_set_pubkey)                    \
	X(X509_set_version)                   \
	X(X509_sign)

struct tls_library {
#define MEMBER(name) __typeof__(name) *name;
	TLS_LIBRARY_CALLS(MEMBER)
#undef MEMBER
};

/* It stays loaded until the process ends, which runs what it has registered for that. */
int tls_library_load(struct tls_library *ret, struct err *e);

/* The last call's failure as an error: "TLS: WHAT PATH: reason". */
int tls_library_refuse(const struct tls_library *l, const char *what, const char *path,
		       struct err *e);

/* Of a server that speaks TLS 1.2 and later; the caller frees it. */
int tls_library_context(const struct tls_library *l, SSL_CTX **ret, struct err *e);

/* PEM files; the errors name them. */
int tls_library_key_pair(const struct tls_library *l, SSL_CTX *context, const char *certificate,
			 const char *key, struct err *e);
