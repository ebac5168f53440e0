#include "image/credentials.h"

#include "base/base64.h"
#include "base/toml.h"
#include "image/ask_program.h"
#include "os/file.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, ANSWER_MAX = 256 * 1024 };

static const uint64_t HELPER_TIMEOUT = 30000000000;
static const char docker_io[] = "https://index.docker.io/v1/";

/* "https://HOST/v1/" and "HOST" are the same host; docker.io has three names. */
static const char *bare(struct arena *a, const char *key)
{
	const char *p = strstr(key, "://");

	p = p ? p + 3 : key;
	p = arena_strndup(a, p, strcspn(p, "/"));
	return strcmp(p, "docker.io") == 0 || strcmp(p, "index.docker.io") == 0
		       ? "registry-1.docker.io"
		       : p;
}

static json_object *entry(struct arena *a, json_object *table, const char *host)
{
	if (!table)
		return NULL;
	json_object_object_foreach(table, key, o)
	{
		if (strcmp(bare(a, key), host) == 0)
			return o;
	}
	return NULL;
}

static int read_text(json_object *o, const char *key, struct arena *a, const char **ret,
		     struct err *e)
{
	const char *s = NULL;

	if (jsonr_string(o, key, &s, e) < 0)
		return -1;
	*ret = s && *s ? arena_strdup(a, s) : NULL;
	return 0;
}

static void set(struct transfer_credentials *c, const char *user, const char *secret,
		const char *token)
{
	if (token)
		*c = (struct transfer_credentials){ TRANSFER_AUTH_REFRESH, "", token, c->source };
	else if (user && secret)
		*c = (struct transfer_credentials){ TRANSFER_AUTH_PASSWORD, user, secret,
						    c->source };
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int parse_answer(const struct str *said, struct arena *a, struct transfer_credentials *ret,
			struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	const char *user = NULL, *secret = NULL;

	if (jsonr_parse(str_c(said), said->len, &root, e) < 0 ||
	    read_text(root, "Username", a, &user, e) < 0 ||
	    read_text(root, "Secret", a, &secret, e) < 0)
		return -1;
	bool is_token = user && strcmp(user, "<token>") == 0;

	set(ret, user, secret, is_token ? secret : NULL);
	return 0;
}

/* docker-credential-NAME get: the host on its input, JSON on its output. */
static int ask_helper(const char *name, const char *host, struct arena *a,
		      struct transfer_credentials *ret, struct err *e)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	const char *program = arena_printf(a, "docker-credential-%s", name);
	const char *key = strcmp(host, "registry-1.docker.io") == 0 ? docker_io : host;
	const char *argv[] = { program, "get", NULL };
	AUTO_STR struct str said = STR_INIT(ANSWER_MAX);
	AUTO_FREE char *path = NULL;

	if (!*name || strspn(name, letters) != strlen(name))
		return err_set(e, ERR_INVALID_ARGUMENT, "credential helper \"%s\": invalid name",
			       name);
	path = spawn_find(program);
	if (!path)
		return err_sys(e, errno, "find credential helper %s", program);
	ret->source = program;
	int code = program_ask(path, argv, key, strlen(key), HELPER_TIMEOUT, &said, e);
	if (code < 0)
		return err_wrap(e, "credential helper");
	if (code == 0)
		return parse_answer(&said, a, ret, e) < 0 ? err_wrap(e, "%s", program) : 0;
	if (strstr(str_c(&said), "credentials not found"))
		return 0;
	return err_set(e, ERR_UNAUTHENTICATED, "%s: exit status %d: %.*s", program, code,
		       (int)strcspn(str_c(&said), "\r\n"), str_c(&said));
}

/* --- docker's file ---------------------------------------------------------------------------- */

/* "auth" is base64 of user:password. */
static int decode(const char *base64, struct arena *a, const char **ret_user,
		  const char **ret_secret)
{
	AUTO_FREE char *text = NULL;
	size_t n;

	text = base64_decode(base64, FILE_MAX, &n);
	char *colon = text ? memchr(text, ':', n) : NULL;
	if (!colon || memchr(text, 0, n))
		return -1;
	*ret_user = arena_strndup(a, text, (size_t)(colon - text));
	*ret_secret = arena_strndup(a, colon + 1, n - (size_t)(colon + 1 - text));
	return 0;
}

static int from_auths(json_object *o, struct arena *a, struct transfer_credentials *ret,
		      struct err *e)
{
	const char *user = NULL, *secret = NULL, *token = NULL, *both = NULL, *header = NULL;

	if (read_text(o, "username", a, &user, e) < 0 ||
	    read_text(o, "password", a, &secret, e) < 0 ||
	    read_text(o, "identitytoken", a, &token, e) < 0 ||
	    read_text(o, "registrytoken", a, &header, e) < 0 ||
	    read_text(o, "auth", a, &both, e) < 0)
		return -1;
	if (both && decode(both, a, &user, &secret) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "\"auth\" is no base64 of USER:PASSWORD");
	set(ret, user, secret, token);
	if (header)
		*ret = (struct transfer_credentials){ TRANSFER_AUTH_HEADER, "",
						      arena_printf(a, "Bearer %s", header),
						      ret->source };
	return 0;
}

int credentials_docker(const char *text, size_t n, const char *file, const char *host,
		       struct arena *a, struct transfer_credentials *ret, struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	json_object *auths = NULL, *helpers = NULL, *o;
	const char *helper = NULL;

	host = bare(a, host);
	if (jsonr_parse(text, n, &root, e) < 0 || jsonr_object(root, "auths", &auths, e) < 0 ||
	    jsonr_object(root, "credHelpers", &helpers, e) < 0 ||
	    read_text(root, "credsStore", a, &helper, e) < 0)
		return err_wrap(e, "%s", file);
	o = entry(a, helpers, host);
	if (o)
		helper = json_object_is_type(o, json_type_string)
				 ? arena_strdup(a, json_object_get_string(o))
				 : "";
	ret->source = file;
	if (helper)
		return ask_helper(helper, host, a, ret, e) < 0 ? err_wrap(e, "%s", file) : 0;
	o = entry(a, auths, host);
	if (o && from_auths(o, a, ret, e) < 0)
		return err_wrap(e, "%s: %s", file, host);
	return 0;
}

static int from_docker(const char *file, const char *host, struct arena *a,
		       struct transfer_credentials *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, file, FILE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read %s", file);
	return credentials_docker(text, n, file, host, a, ret, e);
}

/* --- our table -------------------------------------------------------------------------------- */

static int from_table(json_object *o, const char *host, struct arena *a,
		      struct transfer_credentials *ret, struct err *e)
{
	const char *user = NULL, *secret = NULL, *token = NULL, *helper = NULL;

	if (read_text(o, "username", a, &user, e) < 0 ||
	    read_text(o, "password", a, &secret, e) < 0 ||
	    read_text(o, "identity_token", a, &token, e) < 0 ||
	    read_text(o, "credential_helper", a, &helper, e) < 0)
		return -1;
	if (helper)
		return ask_helper(helper, host, a, ret, e);
	set(ret, user, secret, token);
	return ret->type != TRANSFER_AUTH_NONE
		       ? 0
		       : err_set(e, ERR_INVALID_ARGUMENT,
				 "needs username and password, identity_token or "
				 "credential_helper");
}

static int from_file(const char *text, size_t n, const char *file, const char *host,
		     struct arena *a, struct transfer_credentials *ret, struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	json_object *table = NULL, *o;
	const char *docker = NULL, *helper = NULL;

	if (toml_parse(text, n, &root, e) < 0 || jsonr_object(root, "auth", &table, e) < 0 ||
	    read_text(root, "docker_config", a, &docker, e) < 0 ||
	    read_text(root, "credential_helper", a, &helper, e) < 0)
		return -1;
	host = bare(a, host);
	ret->source = file;
	o = entry(a, table, host);
	if (o)
		return from_table(o, host, a, ret, e) < 0 ? err_wrap(e, "auth of %s", host) : 0;
	if (docker && from_docker(docker, host, a, ret, e) < 0)
		return -1;
	if (ret->type == TRANSFER_AUTH_NONE && helper)
		return ask_helper(helper, host, a, ret, e);
	return 0;
}

/* Passwords that everybody can read are nobody's. */
static int open_private(const char *file, int *ret, struct err *e)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	*ret = -1;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, errno, "open %s", file);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", file);
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & 077))
		return err_set(e, ERR_PERMISSION_DENIED,
			       "%s holds secrets: it must be a file of root's with mode 0600",
			       file);
	*ret = TAKE_FD(fd);
	return 0;
}

bool credentials_exist(const char *const *dirs)
{
	for (; dirs && *dirs; dirs++) {
		AUTO_FREE char *file = xasprintf("%s/auth.toml", *dirs);

		if (access(file, F_OK) == 0)
			return true;
	}
	return false;
}

int credentials_find(const char *const *dirs, const char *host, struct arena *a,
		     struct transfer_credentials *ret, struct err *e)
{
	*ret = (struct transfer_credentials){ TRANSFER_AUTH_NONE, "", "", "" };
	for (; dirs && *dirs && ret->type == TRANSFER_AUTH_NONE; dirs++) {
		const char *file = arena_printf(a, "%s/auth.toml", *dirs);
		AUTO_FREE char *text = NULL;
		AUTO_FD int fd = -1;
		size_t n;

		if (open_private(file, &fd, e) < 0)
			return -1;
		if (fd < 0)
			continue;
		int r = file_read_fd(fd, FILE_MAX, &text, &n);
		if (r < 0)
			return err_sys(e, -r, "read %s", file);
		if (from_file(text, n, file, host, a, ret, e) < 0)
			return err_wrap(e, "%s", file);
	}
	return 0;
}
