/* ctr doctor: is this machine fit for containers, and what to do where it is not. */
#include "cmd/ctr/ctr.h"

#include "cmd/ctr/doctor.h"
#include "cmd/ctr/json_print.h"
#include "cmd/ctr/network_reach.h"
#include "net/nft_state.h"
#include "os/spawn.h"

#include "google/protobuf/empty.pb-c.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum { CONFIG_TIMEOUT_MS = 10000 };

static void check_programs(struct checks *c)
{
	static const char *const names[] = { "runc", "containerd-shim-runc-v2", "containerd" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = spawn_find(names[i]);

		if (path)
			checks_add(c, FINDING_OK, names[i], NULL, "%s", path);
		else
			checks_add(c, FINDING_FAIL, names[i],
				   "install it, or put its folder into PATH", "not found in PATH");
	}
}

/* The daemon itself says what it thinks of its configuration; its words go to stderr. */
static void check_config(struct checks *c)
{
	AUTO_FREE char *path = spawn_find("containerd");
	const char *argv[] = { "containerd", "config", "dump", NULL };
	const int fds[] = { -1, -1, STDERR_FILENO };
	AUTO_FD int pidfd = -1;
	int status = 0;
	pid_t pid;

	if (!path)
		return;
	const struct spawn s = { .path = path,
				 .argv = (char *const *)(uintptr_t)argv,
				 .envp = environ,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3,
				 .parent_death_signal = SIGKILL };
	if (spawn_start(&s, &pidfd, &pid) < 0 || spawn_wait(pidfd, CONFIG_TIMEOUT_MS, &status) < 0)
		status = 1;
	if (status)
		checks_add(c, FINDING_FAIL, "config", "correct /etc/containerd/config.toml",
			   "containerd does not take its configuration");
	else
		checks_add(c, FINDING_OK, "config", NULL, "containerd takes its configuration");
}

static void check_socket(struct checks *c, const char *address)
{
	const char *path = str_starts(address, "unix://") ? address + 7 : address;
	struct stat st;

	if (lstat(path, &st) < 0)
		checks_add(c, FINDING_FAIL, "socket",
			   "start the daemon: systemctl start containerd, or name its socket with "
			   "--address",
			   "%s: %s", path, err_errno_text(errno));
	else if (!S_ISSOCK(st.st_mode) || st.st_uid != 0 || (st.st_mode & 07))
		checks_add(c, FINDING_FAIL, "socket",
			   "whoever reaches it is root: chown root and chmod 0660 or less",
			   "%s: mode %04o, owner %u", path, st.st_mode & 07777, st.st_uid);
	else
		checks_add(c, FINDING_OK, "socket", NULL, "%s", path);
}

static void check_daemon(struct ctr *ctr, struct checks *c)
{
	Google__Protobuf__Empty none = GOOGLE__PROTOBUF__EMPTY__INIT;
	INTROSPECTION(PluginsRequest) req = INTROSPECTION_INIT(PLUGINS_REQUEST);
	INTROSPECTION(PluginsResponse) * plugins;
	Containerd__Services__Version__V1__VersionResponse *v;
	struct err e = { 0 };

	if (!ctr->timeout_ns)
		ctr->timeout_ns = 5000000000ull;
	if (CTR_CALL(ctr, "version.v1.Version/Version", &none, version__v1__version_response, &v,
		     &e) < 0 ||
	    CTR_CALL(ctr, "introspection.v1.Introspection/Plugins", &req,
		     introspection__v1__plugins_response, &plugins, &e) < 0) {
		checks_add(c, FINDING_FAIL, "daemon", "see its log: journalctl -u containerd", "%s",
			   e.msg);
		return;
	}
	checks_add(c, FINDING_OK, "daemon", NULL, "version %s answers", v->version);
	for (size_t i = 0; i < plugins->n_plugins; i++) {
		const INTROSPECTION(Plugin) *p = plugins->plugins[i];

		if (p->init_err && !strstr(p->init_err->message, "skip plugin"))
			checks_add(c, FINDING_WARN, "plugin", "see its message", "%s.%s: %s",
				   p->type, p->id, p->init_err->message);
	}
}

/* Of this namespace's containers. */
static void check_ports(struct ctr *ctr, struct checks *c)
{
	CONTAINERS(ListContainersRequest) req = CONTAINERS_INIT(LIST_CONTAINERS_REQUEST);
	CONTAINERS(ListContainersResponse) * rsp;
	const char *open = NULL;
	struct err e = { 0 };
	struct kept kept;
	size_t n = 0, n_open = 0;

	if (kept_find(ctr, &kept, &e) < 0 ||
	    CTR_CALL(ctr, "containers.v1.Containers/List", &req,
		     containers__v1__list_containers_response, &rsp, &e) < 0)
		return; /* check_daemon() has said so */
	for (size_t i = 0; i < rsp->n_containers; i++) {
		AUTO_JSON json_object *wishes = network_wishes_of(rsp->containers[i]);

		n += wishes && *network_ports(ctr, rsp->containers[i]);
		if (!wishes || !network_is_open(wishes, &kept))
			continue;
		n_open++;
		open = open ?: rsp->containers[i]->id;
	}
	if (n_open && nft_host_is_closed())
		checks_add(
			c, FINDING_WARN, "ports",
			"publish with an address (-p 127.0.0.1:8080:80), or set publish_policy = "
			"\"host-firewall\" in [plugins.'io.casco.network.v1.builtin']",
			"the host's firewall lets nothing in, and ports of %s and %zu more are "
			"open "
			"past it: ctr inspect ID Network.Reach",
			open, n_open - 1);
	else if (n)
		checks_add(c, FINDING_OK, "ports", NULL,
			   "%zu containers publish some, ctr inspect ID Network.Reach says to whom",
			   n);
}

static void print_json(const struct checks *c)
{
	static const char *const names[] = { "ok", "warning", "failure" };
	struct str out AUTO_STR = STR_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < c->n; i++) {
		jsonw_object(&w);
		jsonw_kstring(&w, "check", c->v[i].name);
		jsonw_kstring(&w, "finding", names[c->v[i].finding]);
		jsonw_kstring(&w, "text", c->v[i].text);
		if (c->v[i].finding)
			jsonw_kstring(&w, "hint", c->v[i].hint);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	puts(str_c(&out));
}

static void print_text(const struct checks *c)
{
	static const char *const marks[] = { "ok  ", "WARN", "FAIL" };

	for (size_t i = 0; i < c->n; i++) {
		ctr_print(stdout, "%s  %s: %s\n", marks[c->v[i].finding], c->v[i].name,
			  c->v[i].text);
		if (c->v[i].finding)
			ctr_print(stdout, "      to do: %s\n", c->v[i].hint);
	}
}

int doctor_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct checks c = { .arena = ctr->arena, .root = "" };
	const char *format = args_string(args, "format");
	struct utsname u;

	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "format must be text or json");
	if (uname(&u) < 0)
		return err_sys(e, errno, "uname");
	checks_host(&c, u.release);
	check_programs(&c);
	check_config(&c);
	check_socket(&c, ctr->address);
	check_daemon(ctr, &c);
	check_ports(ctr, &c);
	checks_shims(&c);
	if (!strcmp(format, "json"))
		print_json(&c);
	else
		print_text(&c);
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].finding == FINDING_FAIL)
			ctr->exit_code = 1;
	return 0;
}

const struct flag doctor_flags[] = {
	{ "format", FLAG_STRING, NULL, "output format: text or json", "text" },
	{ NULL },
};
