#include "cmd/containerd/hook.h"

#include "base/jsonr.h"
#include "base/str.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { STATE_MAX = 1 << 20, ARG_MAX_BYTES = 128 * 1024 };

static const char *fact(const struct hook_facts *f, const char *name, size_t n)
{
	const struct {
		const char *name, *value;
	} facts[] = { { "id", f->id },
		      { "ns", f->ns },
		      { "bundle", f->bundle },
		      { "rootfs", f->rootfs },
		      { "pid", f->pid } };

	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		if (strlen(facts[i].name) == n && !strncmp(facts[i].name, name, n))
			return facts[i].value;
	return NULL;
}

static int fill_one(struct arena *a, const struct hook_facts *f, const char *arg, char **ret,
		    struct err *e)
{
	AUTO_STR struct str out = STR_INIT(ARG_MAX_BYTES);

	for (const char *open; (open = strstr(arg, "{{"));) {
		const char *name = open + 2 + strspn(open + 2, " ");
		const char *close = strstr(name, "}}");
		size_t n = strcspn(name, " }");
		const char *value = close ? fact(f, name, n) : NULL;

		if (!value)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "template: function \"%.*s\" not defined",
				       n > 100 ? 100 : (int)n, name);
		str_addn(&out, arg, (size_t)(open - arg));
		str_add(&out, value);
		arg = close + 2;
	}
	str_add(&out, arg);
	if (out.over)
		return err_set(e, ERR_INVALID_ARGUMENT, "an argument is too long");
	*ret = arena_strdup(a, str_c(&out));
	return 0;
}

int hook_fill(struct arena *a, const struct hook_facts *f, const char *const *argv, char ***ret,
	      struct err *e)
{
	size_t n = 0;

	while (argv[n])
		n++;
	*ret = arena_array(a, n + 1, sizeof **ret);
	for (size_t i = 0; i < n; i++)
		if (fill_one(a, f, argv[i], &(*ret)[i], e) < 0)
			return -1;
	return 0;
}

static int read_stdin(char *buf, size_t max, struct err *e)
{
	size_t n = 0;
	ssize_t r;

	while (n < max - 1 && (r = read(STDIN_FILENO, buf + n, max - 1 - n)) > 0)
		n += (size_t)r;
	buf[n] = 0;
	return n == max - 1 ? err_set(e, ERR_INVALID_ARGUMENT, "the state is too large") : (int)n;
}

/* root.path of the bundle's config.json; one that is relative is below the bundle. */
static int find_rootfs(struct arena *a, struct hook_facts *f, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", f->bundle), *text = NULL;
	AUTO_JSON json_object *top = NULL, *root = NULL;
	const char *at = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, STATE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(text, n, &top, e) < 0)
		return err_wrap(e, "%s", path);
	root = json_object_get(json_object_object_get(top, "root"));
	at = json_object_get_string(json_object_object_get(root, "path"));
	f->rootfs = !at || *at != '/' ? arena_printf(a, "%s/%s", f->bundle, at ?: "rootfs")
				      : arena_strdup(a, at);
	return 0;
}

int hook_exec(const char *const *argv, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *state = NULL;
	AUTO_FREE char *text = xmalloc(STATE_MAX);
	struct hook_facts f = { 0 };
	char **filled;
	int n = read_stdin(text, STATE_MAX, e);

	if (n < 0 || jsonr_parse(text, (size_t)n, &state, e) < 0)
		return -1;
	f.id = json_object_get_string(json_object_object_get(state, "id")) ?: "";
	f.bundle = json_object_get_string(json_object_object_get(state, "bundle")) ?: "";
	f.pid = json_object_get_string(json_object_object_get(state, "pid")) ?: "0";
	/* bundles of the daemon are STATE/NAMESPACE/ID */
	char *parent = arena_strdup(a, f.bundle), *slash = strrchr(parent, '/');
	if (slash)
		*slash = 0;
	f.ns = strrchr(parent, '/') ? strrchr(parent, '/') + 1 : parent;
	if (find_rootfs(a, &f, e) < 0 || hook_fill(a, &f, argv, &filled, e) < 0)
		return -1;
	execvp(filled[0], filled);
	return err_sys(e, errno, "exec %s", filled[0]);
}
