/* Where the log of a container is: what the daemon exports, and the address made of it. */
#include "cmd/ctr/logs.h"

#include <ctype.h>
#include <sys/stat.h>

#define SCHEME "casco-log://"

static const char *export_of(struct ctr *ctr, const INTROSPECTION(Plugin) * p, const char *key)
{
	struct labels l;
	const char *v;

	labels_from_pb(ctr->arena, p->exports, p->n_exports, &l);
	v = labels_get(&l, key);
	return v ? v : "";
}

int kept_find(struct ctr *ctr, struct kept *ret, struct err *e)
{
	INTROSPECTION(PluginsRequest) req = INTROSPECTION_INIT(PLUGINS_REQUEST);
	INTROSPECTION(PluginsResponse) * rsp;
	char *filter = arena_strdup(ctr->arena, "type==io.containerd.runtime.v2,id==task");

	*ret = (struct kept){ "", "", "", false, "", "" };
	req.filters = &filter;
	req.n_filters = 1;
	if (CTR_CALL(ctr, "introspection.v1.Introspection/Plugins", &req,
		     introspection__v1__plugins_response, &rsp, e) < 0)
		return -1;
	for (size_t i = 0; i < rsp->n_plugins; i++) {
		ret->logs = export_of(ctr, rsp->plugins[i], "logs");
		ret->history = export_of(ctr, rsp->plugins[i], "history");
		ret->networks = export_of(ctr, rsp->plugins[i], "networks");
		ret->has_own_shim = !strcmp(export_of(ctr, rsp->plugins[i], "shim"), "own");
		ret->publish_address = export_of(ctr, rsp->plugins[i], "publish-address");
		ret->publish_policy = export_of(ctr, rsp->plugins[i], "publish-policy");
	}
	return 0;
}

static void add_escaped(struct str *s, const char *text)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("/-._", *text))
			str_addc(s, *text);
		else
			str_addf(s, "%%%02X", (unsigned char)*text);
}

static int add_options(struct str *s, const char *const *words, struct err *e)
{
	for (; *words; words++) {
		const char *eq = strchr(*words, '=');
		char *key AUTO_FREE = eq ? xstrndup(*words, (size_t)(eq - *words)) : NULL;

		if (!eq || str_starts(*words, "attach-"))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid value \"%s\" for flag -log-opt: max-size=SIZE, "
				       "max-file=N or compress=true is expected",
				       *words);
		str_addc(s, '&');
		add_escaped(s, key);
		str_addc(s, '=');
		add_escaped(s, eq + 1);
	}
	return 0;
}

/* The daemon's own shim has the driver; any other is asked.  One that cannot say anything about
 * itself (containerd's before 2.0) has none. */
static bool keeps_logs(struct ctr *ctr, const struct kept *kept, const char *runtime)
{
	Containerd__Types__RuntimeInfo *info;
	struct err old = { 0 };
	struct labels l;

	if (kept->has_own_shim && !strcmp(runtime, DEFAULT_RUNTIME))
		return true;
	if (runtime_info(ctr, runtime, NULL, &info, &old) < 0)
		return false;
	labels_from_pb(ctr->arena, info->annotations, info->n_annotations, &l); /* borrows */
	bool r = labels_get(&l, "casco.log-drivers");

	containerd__types__runtime_info__free_unpacked(info, NULL);
	return r;
}

int log_uri_make(struct ctr *ctr, const char *runtime, const struct task_options *opt,
		 const struct task_io *io, const char **ret, struct err *e)
{
	struct str s AUTO_STR = STR_INIT(16 << 10);
	struct kept kept;

	*ret = NULL;
	if (!strcmp(opt->log_driver, "none"))
		return 0;
	if (strcmp(opt->log_driver, "cri") != 0 && strcmp(opt->log_driver, "json") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -log-driver: cri, json or none",
			       opt->log_driver);
	if (kept_find(ctr, &kept, e) < 0)
		return -1;
	if (!*kept.logs)
		return 0;
	if (!keeps_logs(ctr, &kept, runtime))
		return opt->is_log_asked ? err_set(e, ERR_UNIMPLEMENTED,
						   "the shim of runtime %s has no log driver: "
						   "--log-driver none or --log-uri is expected",
						   runtime)
					 : 0;
	str_add(&s, SCHEME);
	add_escaped(&s, kept.logs);
	str_addf(&s, "/%s/%s?format=%s", ctr->ns, io->id, opt->log_driver);
	if (add_options(&s, opt->log_opts, e) < 0)
		return -1;
	if (*io->out) {
		str_add(&s, "&attach-stdout=");
		add_escaped(&s, io->out);
	}
	if (*io->err) {
		str_add(&s, "&attach-stderr=");
		add_escaped(&s, io->err);
	}
	*ret = arena_strdup(ctr->arena, str_c(&s));
	return 0;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int log_folder(struct ctr *ctr, const char *id, const char **ret, struct err *e)
{
	CONTAINERS(Container) * c;
	struct kept kept;
	const char *dir;

	if (container_get(ctr, id, &c, e) < 0 || kept_find(ctr, &kept, e) < 0)
		return -1;
	dir = arena_printf(ctr->arena, "%s/%s/%s", kept.logs, ctr->ns, c->id);
	if (!*kept.logs || !is_folder(dir))
		return err_set(e, ERR_NOT_FOUND,
			       "container %s has no log: one is kept for what is started detached "
			       "(ctr run -d, ctr tasks start -d), unless --log-driver none, "
			       "--log-uri or --null-io says otherwise",
			       c->id);
	*ret = dir;
	return 0;
}
