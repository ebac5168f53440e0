#include "cmd/ctr/image_registry.h"

#include <termios.h>

#define HOSTS_TOML "not supported: write it into a hosts.toml and use --hosts-dir"

const struct flag registry_flags[] = {
	{ .name = "skip-verify",
	  .type = FLAG_BOOL,
	  .alias = "k",
	  .help = "skip SSL certificate validation",
	  .missing = HOSTS_TOML },
	{ "plain-http", FLAG_BOOL, NULL, "allow connections using plain HTTP" },
	{ "user", FLAG_STRING, "u", "user[:password] Registry user and password" },
	{ "refresh", FLAG_STRING, NULL, "refresh token for authorization server" },
	{ "hosts-dir", FLAG_STRING, NULL, "Custom hosts configuration directory" },
	{ .name = "tlscacert",
	  .type = FLAG_STRING,
	  .help = "path to TLS root CA",
	  .missing = HOSTS_TOML },
	{ .name = "tlscert",
	  .type = FLAG_STRING,
	  .help = "path to TLS client certificate",
	  .missing = HOSTS_TOML },
	{ .name = "tlskey",
	  .type = FLAG_STRING,
	  .help = "path to TLS client key",
	  .missing = HOSTS_TOML },
	{ .name = "http-dump",
	  .type = FLAG_BOOL,
	  .help = "dump all HTTP request/responses when interacting with container registry",
	  .missing = "not supported yet" },
	{ .name = "http-trace",
	  .type = FLAG_BOOL,
	  .help = "enable HTTP tracing for registry interactions",
	  .missing = "not supported yet" },
	{ NULL },
};

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
