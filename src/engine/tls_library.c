#include "engine/tls_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libssl.so.3" /* brings libcrypto, whose names it finds as well */

int tls_library_load(struct tls_library *l, struct err *e)
{
	static const struct {
		const char *name;
		size_t at;
	} names[] = {
#define ROW(name) { #name, offsetof(struct tls_library, name) },
		TLS_LIBRARY_CALLS(ROW)
#undef ROW
	};
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_set(e, ERR_FAILED_PRECONDITION, "TLS: %s", dlerror());
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		void *symbol = dlsym(handle, names[i].name);

		if (!symbol)
			return err_set(e, ERR_FAILED_PRECONDITION, "TLS: " LIBRARY " has no %s",
				       names[i].name);
		memcpy((char *)l + names[i].at, &symbol, sizeof symbol);
	}
	return 0;
}

int tls_library_refuse(const struct tls_library *l, const char *what, const char *path,
		       struct err *e)
{
	const char *why = l->ERR_reason_error_string(l->ERR_get_error());

	l->ERR_clear_error();
	return err_set(e, ERR_INVALID_ARGUMENT, "TLS: %s %s: %s", what, path, why ?: "not usable");
}

int tls_library_context(const struct tls_library *l, SSL_CTX **ret, struct err *e)
{
	l->ERR_clear_error();
	*ret = l->SSL_CTX_new(l->TLS_server_method());
	if (!*ret)
		return err_set(e, ERR_INTERNAL, "TLS: no context");
	(void)l->SSL_CTX_ctrl(*ret, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
	(void)l->SSL_CTX_ctrl(*ret, SSL_CTRL_MODE,
			      SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS,
			      NULL);
	return 0;
}

int tls_library_key_pair(const struct tls_library *l, SSL_CTX *context, const char *certificate,
			 const char *key, struct err *e)
{
	if (l->SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return tls_library_refuse(l, "certificate", certificate, e);
	if (l->SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
	    l->SSL_CTX_check_private_key(context) != 1)
		return tls_library_refuse(l, "key", key, e);
	return 0;
}
