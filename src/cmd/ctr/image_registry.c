#include "cmd/ctr/image_registry.h"

#include "image/credentials.h"

#include <errno.h>
#include <termios.h>

const struct flag registry_flags[] = {
	{ "skip-verify", FLAG_BOOL, "k", "skip SSL certificate validation" },
	{ "plain-http", FLAG_BOOL, NULL, "allow connections using plain HTTP" },
	{ "user", FLAG_STRING, "u", "user[:password] Registry user and password" },
	{ "refresh", FLAG_STRING, NULL, "refresh token for authorization server" },
	{ "hosts-dir", FLAG_STRING, NULL, "Custom hosts configuration directory" },
	{ "tlscacert", FLAG_STRING, NULL, "path to TLS root CA" },
	{ "tlscert", FLAG_STRING, NULL, "path to TLS client certificate" },
	{ "tlskey", FLAG_STRING, NULL, "path to TLS client key" },
	{ "http-dump", FLAG_BOOL, NULL,
	  "dump all HTTP request/responses when interacting with container registry" },
	{ "http-trace", FLAG_BOOL, NULL, "enable HTTP tracing for registry interactions" },
	{ NULL },
};

bool registry_needs_local(const struct args *args)
{
	static const char *const flags[] = { "tlscacert", "tlscert", "tlskey" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (*args_string(args, flags[i]))
			return true;
	return args_bool(args, "skip-verify") || args_bool(args, "http-dump") ||
	       args_bool(args, "http-trace");
}

/* A password from the terminal, unseen. */
static int ask_secret(struct arena *a, const char **ret, struct err *e)
{
	struct termios before, quiet;
	char line[512];
	char *got;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "no password in --user, and no terminal to ask for it");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs("Password: ", stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	got = fgets(line, sizeof line, stdin);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	if (!got)
		return err_set(e, ERR_INVALID_ARGUMENT, "no password");
	line[strcspn(line, "\r\n")] = 0;
	*ret = arena_strdup(a, line);
	explicit_bzero(line, sizeof line);
	return 0;
}

static int read_credentials(const struct args *args, struct credentials *ret, struct err *e)
{
	const char *user = args_string(args, "user"), *refresh = args_string(args, "refresh");
	size_t n = strcspn(user, ":");

	*ret = (struct credentials){ .refresh = *refresh ? refresh : NULL };
	if (!*user)
		return 0;
	ret->user = arena_strndup(args->arena, user, n);
	if (user[n]) {
		ret->secret = user + n + 1;
		return 0;
	}
	return ask_secret(args->arena, &ret->secret, e);
}

int registry_from_flags(const struct args *args, struct transfer *t, const char *ref,
			Containerd__Types__Transfer__OCIRegistry *ret, struct err *e)
{
	Containerd__Types__Transfer__RegistryResolver *resolver =
		ARENA_NEW(args->arena, Containerd__Types__Transfer__RegistryResolver);
	struct credentials creds;
	const char *id = NULL;

	if (read_credentials(args, &creds, e) < 0)
		return -1;
	if ((creds.user || creds.refresh) && transfer_offer_credentials(t, &creds, &id, e) < 0)
		return -1;
	containerd__types__transfer__registry_resolver__init(resolver);
	resolver->auth_stream = PB(id ? id : "");
	resolver->host_dir = PB(args_string(args, "hosts-dir"));
	resolver->default_scheme = PB(args_bool(args, "plain-http") ? "http" : "");
	containerd__types__transfer__ociregistry__init(ret);
	ret->reference = PB(ref);
	ret->resolver = resolver;
	return 0;
}

/* The worker has another working folder. */
static int add_file(const struct args *args, struct jsonw *w, const char *key, const char *flag,
		    struct err *e)
{
	const char *path = args_string(args, flag);
	char *whole AUTO_FREE = *path ? realpath(path, NULL) : xstrdup("");

	if (!whole)
		return err_sys(e, errno, "open --%s %s", flag, path);
	jsonw_kstring(w, key, whole);
	return 0;
}

int registry_to_job(const struct args *args, struct local *l, const char *ref, struct err *e)
{
	enum { DUMP = 1, TRACE = 2 }; /* enum transfer_debug */
	const char *dirs = args_string(args, "hosts-dir");
	struct jsonw *w = &l->job;

	if (read_credentials(args, &l->answer, e) < 0)
		return -1;
	jsonw_kstring(w, "reference", ref);
	jsonw_kstring(w, "scheme", args_bool(args, "plain-http") ? "http" : "");
	l->hosts_dirs[0] = *dirs ? dirs : "/etc/containerd/certs.d";
	jsonw_kbool(w, "has_auth",
		    l->answer.user || l->answer.refresh || credentials_exist(l->hosts_dirs));
	jsonw_kbool(w, "skip_verify", args_bool(args, "skip-verify"));
	jsonw_ku64(w, "debug",
		   (args_bool(args, "http-dump") ? DUMP : 0) |
			   (args_bool(args, "http-trace") ? TRACE : 0));
	jsonw_key(w, "hosts_dirs");
	jsonw_array(w);
	jsonw_string(w, l->hosts_dirs[0]);
	jsonw_end(w);
	if (add_file(args, w, "ca", "tlscacert", e) < 0 ||
	    add_file(args, w, "cert", "tlscert", e) < 0)
		return -1;
	return add_file(args, w, "key", "tlskey", e);
}
