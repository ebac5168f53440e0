/* Starting a shim by its contract: which binary, and what its answer means. */
#include "task/internal.h"

#include "base/jsonr.h"
#include "containerd/runtime/bootstrap/v1/bootstrap.pb-c.h"
#include "os/spawn.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* "io.containerd.runc.v2" → containerd-shim-runc-v2, in PATH or beside the daemon. */
int runtime_to_shim(const char *runtime, const char *self, char **ret, struct err *e)
{
	const char *last = strrchr(runtime, '.'), *before = last;

	if (runtime[0] == '/') {
		if (!is_program(runtime))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid custom binary path: %s is no program", runtime);
		*ret = xstrdup(runtime);
		return 0;
	}
	while (before && before > runtime && before[-1] != '.')
		before--;
	if (strchr(runtime, '/') || !last || !last[1] || before == last || before == runtime)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid runtime name %s, correct runtime name should be either "
			       "format like `io.containerd.runc.v2` or a full path to the binary",
			       runtime);
	AUTO_FREE char *name =
		xasprintf("containerd-shim-%.*s-%s", (int)(last - before), before, last + 1);

	*ret = spawn_find(name);
	if (*ret)
		return 0;
	const char *slash = strrchr(self, '/');
	AUTO_FREE char *beside =
		slash ? xasprintf("%.*s/%s", (int)(slash - self), self, name) : NULL;

	if (!beside || !is_program(beside))
		return err_set(e, ERR_UNKNOWN, /* the image or container is not what is missing */
			       "failed to resolve runtime path: runtime \"%s\" binary not "
			       "installed \"%s\": file does not exist",
			       runtime, name);
	*ret = TAKE_PTR(beside);
	return 0;
}

bool tasks_shim_is_own(const struct tasks *ts, const char *runtime)
{
	const char *self = ts->env->self, *slash = strrchr(self, '/');
	AUTO_FREE char *shim = NULL;
	struct err none = { 0 };
	struct stat a, b;

	if (!slash || runtime_to_shim(runtime, self, &shim, &none) < 0)
		return false;
	AUTO_FREE char *own =
		xasprintf("%.*s/%s", (int)(slash - self), self, strrchr(shim, '/') + 1);

	return !stat(shim, &a) && !stat(own, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int set_result(struct bootstrap *ret, int64_t version, const char *address,
		      const char *protocol, struct err *e)
{
	if (version < 2 || version > 3)
		return err_set(e, ERR_UNIMPLEMENTED, "unsupported shim version (%lld)",
			       (long long)version);
	if (protocol && *protocol && strcmp(protocol, "ttrpc") != 0)
		return err_set(e, ERR_UNIMPLEMENTED, "unsupported shim protocol \"%.40s\"",
			       protocol);
	if (!address || !str_starts(address, "unix://") || address[7] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unsupported shim address \"%.200s\": must be unix:///path",
			       address ?: "");
	if (strlen(address) >= sizeof ret->address)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim address is too long");
	ret->version = (int)version;
	memcpy(ret->address, address, strlen(address) + 1);
	return 0;
}

static int parse_json(const char *out, size_t n, struct bootstrap *ret, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	const char *address = NULL, *protocol = NULL;
	int64_t version = 0;

	if (jsonr_parse(out, n, &o, e) < 0 || jsonr_i64(o, "version", &version, e) < 0 ||
	    jsonr_string(o, "address", &address, e) < 0 ||
	    jsonr_string(o, "protocol", &protocol, e) < 0)
		return err_wrap(e, "shim answered with bad JSON");
	return set_result(ret, version, address, protocol, e);
}

/* A message begins with the tag of a field; text of an address does with "u" (also a tag by its
 * number, so text is tried first). */
static int parse_message(const void *out, size_t n, struct bootstrap *ret, struct err *e)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapResult *r =
		containerd__runtime__bootstrap__v1__bootstrap_result__unpack(NULL, n, out);

	if (!r)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim answered \"%.*s\"",
			       (int)(n > 300 ? 300 : n), (const char *)out);
	int result = set_result(ret, r->version, r->address, r->protocol, e);

	containerd__runtime__bootstrap__v1__bootstrap_result__free_unpacked(r, NULL);
	return result;
}

/* BootstrapResult (2.3), JSON (1.7 to 2.2) or a plain address (1.6, task service 2). */
int bootstrap_parse(const void *out, size_t n, struct bootstrap *ret, struct err *e)
{
	const char *text = out;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n && text[0] == '{')
		return parse_json(text, n, ret, e);
	if (n > 7 && !strncmp(text, "unix://", 7)) {
		AUTO_FREE char *address = xstrndup(text, n);

		return set_result(ret, 2, address, NULL, e);
	}
	if (!n)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim answered nothing");
	return parse_message(out, n, ret, e);
}
