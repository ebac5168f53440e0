/* runc state, list, ps. */
#include "cmd/runc/cli.h"

#include "base/jsonw.h"
#include "base/num.h"
#include "base/timefmt.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "runtime/passwd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define O(field) offsetof(struct options, field)
#define ID_TEXT "Where \"<container-id>\" is your name for the instance of the container."

static const struct option no_options[] = { { NULL } };

static const struct option list_options[] = {
	{ "format", "f", OPTION_STRING, O(format),
	  "select one of: table or json (default: \"table\")" },
	{ "quiet", "q", OPTION_BOOL, O(quiet), "display only container IDs" },
	{ NULL },
};

static const struct option ps_options[] = {
	{ "format", "f", OPTION_STRING, O(format),
	  "select one of: table or json (default: \"table\")" },
	{ NULL },
};

static void print(const struct str *s)
{
	(void)fd_write_all(STDOUT_FILENO, str_c(s), s->len); /* a reader that left wants no more */
}

static const char *owner_name(uid_t uid, char buf[32])
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *name = passwd_name(root, uid); /* no NSS in a static program */

	if (name)
		snprintf(buf, 32, "%s", name);
	else
		snprintf(buf, 32, "#%u", uid);
	return buf;
}

static void put_state(struct jsonw *w, const struct runtime_state *s, const char *owner)
{
	char created[TIMEFMT_MAX];

	jsonw_object(w);
	jsonw_kstring(w, "ociVersion", s->oci_version);
	jsonw_kstring(w, "id", s->id);
	jsonw_ki64(w, "pid", s->pid);
	jsonw_kstring(w, "status", runtime_status_names[s->status]);
	jsonw_kstring(w, "bundle", s->bundle);
	jsonw_kstring(w, "rootfs", s->rootfs);
	jsonw_kstring(w, "created", timefmt_rfc3339(s->created, created));
	if (s->annotations.n) {
		jsonw_key(w, "annotations");
		jsonw_object(w);
		for (size_t i = 0; i < s->annotations.n; i++)
			jsonw_kstring(w, s->annotations.v[i].key, s->annotations.v[i].value);
		jsonw_end(w);
	}
	jsonw_kstring(w, "owner", owner);
	jsonw_end(w);
}

static int run_state(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(16 << 20);
	struct runtime_state s;
	struct jsonw w;

	if (runtime_state(&in->global->runtime, a, in->args[0], &s, e) < 0)
		return -1;
	jsonw_init(&w, &out, 2);
	put_state(&w, &s, "");
	print(&out);
	return 0;
}

enum { COLUMNS = 6 };

/* As Go's tabwriter with (12, 1, 3): a column is as wide as its longest cell and 3, at least 12. */
static void print_table(const struct runtime_state *list, size_t n, struct arena *a,
			struct str *out)
{
	const char *(*cell)[COLUMNS] = arena_array(a, n + 1, sizeof *cell);
	static const char *const head[COLUMNS] = { "ID",     "PID",     "STATUS",
						   "BUNDLE", "CREATED", "OWNER" };
	size_t width[COLUMNS] = { 0 };

	memcpy(cell[0], head, sizeof head);
	for (size_t i = 0; i < n; i++) {
		char created[TIMEFMT_MAX], owner[32];
		const char **c = cell[i + 1];

		c[0] = list[i].id;
		c[1] = arena_printf(a, "%d", (int)list[i].pid);
		c[2] = runtime_status_names[list[i].status];
		c[3] = list[i].bundle;
		c[4] = arena_strdup(a, timefmt_rfc3339(list[i].created, created));
		c[5] = arena_strdup(a, owner_name(list[i].owner, owner));
	}
	for (size_t i = 0; i <= n; i++)
		for (size_t k = 0; k < COLUMNS; k++) {
			size_t len = strlen(cell[i][k]) + 3;

			len = len < 12 ? 12 : len;
			width[k] = len > width[k] ? len : width[k];
		}
	for (size_t i = 0; i <= n; i++) {
		for (size_t k = 0; k + 1 < COLUMNS; k++)
			str_addf(out, "%-*s", (int)width[k], cell[i][k]);
		str_addf(out, "%s\n", cell[i][COLUMNS - 1]);
	}
}

static void print_json(const struct runtime_state *list, size_t n, struct str *out)
{
	struct jsonw w;
	char owner[32];

	if (n == 0) { /* as Go writes a list that was never made */
		str_add(out, "null\n");
		return;
	}
	jsonw_init(&w, out, 0);
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++)
		put_state(&w, &list[i], owner_name(list[i].owner, owner));
	jsonw_end(&w);
	str_addc(out, '\n');
}

static int run_list(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(64 << 20);
	struct runtime_state *list;
	const char *format = in->o.format ?: "table";
	size_t n;

	/* The default one is made by the first container. */
	if (in->global->root && access(in->global->root, F_OK) < 0)
		return err_sys(e, errno, "open %s", in->global->root);
	if (runtime_list(&in->global->runtime, a, &list, &n, e) < 0)
		return -1;
	if (in->o.quiet)
		for (size_t i = 0; i < n; i++)
			str_addf(&out, "%s\n", list[i].id);
	else if (strcmp(format, "table") == 0)
		print_table(list, n, a, &out);
	else if (strcmp(format, "json") == 0)
		print_json(list, n, &out);
	else
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid format option");
	print(&out);
	return 0;
}

static int by_number(const void *x, const void *y)
{
	pid_t a = *(const pid_t *)x, b = *(const pid_t *)y;

	return a < b ? -1 : a > b;
}

/* ps of the host with the user's options; its output in *ret, its complaints in the error. */
static int run_host_ps(const struct invocation *in, char **ret, struct err *e)
{
	AUTO_STRV struct strv argv = { 0 };
	AUTO_FREE char *path = spawn_find("ps");
	AUTO_FD int out = memfd_create("ps", MFD_CLOEXEC);
	AUTO_FD int pidfd = -1;
	struct stat st;
	int status = 0;

	if (!path || out < 0)
		return err_sys(e, errno, "find ps");
	strv_add(&argv, "ps");
	for (int i = 1; i < in->n_args; i++)
		strv_add(&argv, in->args[i]);
	if (in->n_args < 2)
		strv_add(&argv, "-ef");
	int fds[3] = { -1, out, out };
	struct spawn s = {
		.path = path, .argv = argv.v, .envp = environ, .cwd_fd = -1, .fds = fds, .n_fds = 3
	};
	int r = spawn_start(&s, &pidfd, NULL);
	if (r == 0)
		r = spawn_wait(pidfd, -1, &status);
	if (r < 0)
		return err_sys(e, -r, "run ps");
	if (fstat(out, &st) < 0 || st.st_size > 64 << 20)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "ps said too much");
	*ret = xcalloc(1, (size_t)st.st_size + 1);
	if (lseek(out, 0, SEEK_SET) < 0 || fd_read_all(out, *ret, (size_t)st.st_size) < 0)
		return err_sys(e, errno, "read what ps said");
	if (status != 0)
		return err_set(e, ERR_UNKNOWN, "exit status %d: %s", status, *ret);
	return 0;
}

/* The n-th word of a line as a number; false without one. */
static bool word_at(const char *line, int n, uint32_t *ret)
{
	for (; n >= 0; n--) {
		line += strspn(line, " \t");
		if (n == 0)
			break;
		line += strcspn(line, " \t");
	}
	AUTO_FREE char *word = xstrndup(line, strcspn(line, " \t"));
	return num_u32(word, ret) == 0;
}

static int find_pid_column(const char *head)
{
	int column = 0;

	for (const char *p = head + strspn(head, " \t"); *p; column++) {
		size_t n = strcspn(p, " \t");

		if (n == 3 && memcmp(p, "PID", 3) == 0)
			return column;
		p += n;
		p += strspn(p, " \t");
	}
	return -1;
}

static int filter_ps(char *text, const pid_t *pids, size_t n, struct str *out, struct err *e)
{
	int column = -1;

	for (char *line = text, *next; *line; line = next) {
		uint32_t pid;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (line == text) {
			column = find_pid_column(line);
			if (column < 0)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "couldn't find PID field in ps output");
			str_addf(out, "%s\n", line);
			continue;
		}
		pid_t key = word_at(line, column, &pid) ? (pid_t)pid : 0;
		if (n && bsearch(&key, pids, n, sizeof *pids, by_number))
			str_addf(out, "%s\n", line);
	}
	return 0;
}

static int run_ps(struct invocation *in, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(64 << 20);
	const char *format = in->o.format ?: "table";
	AUTO_FREE pid_t *pids = NULL;
	AUTO_FREE char *text = NULL;
	size_t n = 0;

	if (runtime_pids(&in->global->runtime, in->args[0], &pids, &n, e) < 0)
		return -1;
	if (n)
		qsort(pids, n, sizeof *pids, by_number);
	if (strcmp(format, "json") == 0) {
		struct jsonw w;

		jsonw_init(&w, &out, 0);
		jsonw_array(&w);
		for (size_t i = 0; i < n; i++)
			jsonw_i64(&w, pids[i]);
		jsonw_end(&w);
		str_addc(&out, '\n');
	} else if (strcmp(format, "table") != 0) {
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid format option");
	} else if (run_host_ps(in, &text, e) < 0 || filter_ps(text, pids, n, &out, e) < 0) {
		return -1;
	}
	print(&out);
	return 0;
}

const struct command command_state = {
	.name = "state",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "output the state of a container",
	.description = "   The state command outputs current state information for the\n"
		       "instance of a container.",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_state,
};

const struct command command_list = {
	.name = "list",
	.usage = "\n\n"
		 "Where the given root is specified via the global option \"--root\"\n"
		 "(default: \"/run/runc\").",
	.summary = "lists containers started by runc with the given root",
	.options = list_options,
	.min_args = 0,
	.max_args = 0,
	.run = run_list,
};

const struct command command_ps = {
	.name = "ps",
	.usage = "<container-id> [ps options]",
	.summary = "ps displays the processes running inside a container",
	.options = ps_options,
	.min_args = 1,
	.max_args = -1,
	.keep_order = true,
	.run = run_ps,
};
