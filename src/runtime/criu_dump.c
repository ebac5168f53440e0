/* Checkpoint: what criu needs to know of a container to write it down. */
#include "runtime/criu.h"

#include "base/jsonw.h"
#include "os/file.h"
#include "os/syscall.h"
#include "runtime/procfs.h"
#include "runtime/state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_NAME "dump.log"
#define SET(o, field, value) ((o)->has_##field = 1, (o)->field = (value))

struct dump {
	const struct checkpoint *c;
	struct arena *arena;
	struct state state;
	struct oci_spec *spec;
	struct plan plan;
	struct criu_mounts mounts;
	char *external[2];
	CriuPageServerInfo ps;
	int procfd, images, work;
	int status_fd;
};

static void dump_done(struct dump *d)
{
	close_fd(&d->procfd);
	close_fd(&d->images);
	close_fd(&d->work);
	state_done(&d->state);
	plan_done(&d->plan);
	arena_free(d->arena);
}

static int open_container(struct dump *d, const struct runtime *rt, const char *id, struct err *e)
{
	struct plan_input in = { .id = id };

	d->procfd = procfs_open(e);
	if (d->procfd < 0 || state_load(rt, d->arena, id, d->procfd, &d->state, e) < 0)
		return -1;
	if (d->state.pub.status != RUNTIME_RUNNING && d->state.pub.status != RUNTIME_PAUSED)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "Container cannot be checkpointed in %s state",
			       runtime_status_names[d->state.pub.status]);
	if (runtime_load_spec(d->arena, d->state.pub.bundle, &d->spec, e) < 0)
		return -1;
	in.bundle = d->state.pub.bundle;
	in.spec = d->spec;
	return plan_make(d->arena, &in, &d->plan, e);
}

static int open_dir(const char *path, const char *what, struct err *e)
{
	int r = file_mkdirs(path, 0700);
	int fd = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, r < 0 ? -r : errno, "%s %s", what, path);
	return fd;
}

static int open_folders(struct dump *d, struct err *e)
{
	const struct checkpoint *c = d->c;
	struct stat st;

	d->images = open_dir(c->image_path, "open the images' folder", e);
	if (d->images < 0)
		return -1;
	if (c->work_path) {
		d->work = open_dir(c->work_path, "open the work folder", e);
		if (d->work < 0)
			return -1;
	}
	if (!c->parent_path)
		return 0;
	if (*c->parent_path == '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "--parent-path must be relative");
	if (fstatat(d->images, c->parent_path, &st, 0) < 0 || !S_ISDIR(st.st_mode))
		return err_sys(e, errno ? errno : ENOTDIR, "invalid --parent-path: stat %s/%s",
			       c->image_path, c->parent_path);
	return 0;
}

/* A namespace that somebody else keeps is named, not written down. */
static int add_external(struct dump *d, CriuOpts *o, struct err *e)
{
	static const struct {
		enum oci_ns type;
		const char *name, *key;
	} rows[] = { { OCI_NS_NETWORK, "net", "extRootNetNS" },
		     { OCI_NS_PID, "pid", "extRootPidNS" } };

	o->external = d->external;
	for (size_t i = 0; i < d->plan.n_joins; i++)
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			struct stat st;

			if (d->plan.joins[i].type != rows[k].type)
				continue;
			if (stat(d->plan.joins[i].path, &st) < 0)
				return err_sys(e, errno, "stat %s", d->plan.joins[i].path);
			o->external[o->n_external++] =
				arena_printf(d->arena, "%s[%llu]:%s", rows[k].name,
					     (unsigned long long)st.st_ino, rows[k].key);
		}
	return 0;
}

static int check_status_fd(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return err_sys(e, errno, "invalid --status-fd argument %d", fd);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid --status-fd argument %d: not writable", fd);
	return 0;
}

static int check_criu(const struct dump *d, struct err *e)
{
	const struct checkpoint *c = d->c;

	if (criu_check_version(c->criu, CRIU_VERSION_MIN, e) < 0)
		return -1;
	if ((c->pre_dump || c->lazy_pages) &&
	    criu_check_features(c->criu, c->pre_dump, c->lazy_pages, e) < 0)
		return -1;
	return c->lazy_pages && c->status_fd >= 0 ? check_status_fd(c->status_fd, e) : 0;
}

static const char *freezer_path(const struct dump *d)
{
	const struct oci_pairs *p = &d->state.pub.cgroup_paths;
	const char *v2 = NULL;

	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].key, "freezer") == 0)
			return p->v[i].value;
		if (!*p->v[i].key)
			v2 = p->v[i].value;
	}
	return p->n == 1 ? v2 : NULL; /* beside v1 there is nothing to freeze by */
}

static void fill(struct dump *d, CriuOpts *o)
{
	const struct checkpoint *c = d->c;

	criu_fill_opts(c, d->spec, d->arena, o);
	o->images_dir_fd = d->images;
	o->log_file = (char *)LOG_NAME;
	o->root = (char *)d->plan.rootfs;
	SET(o, pid, d->state.init_pid);
	SET(o, leave_running, c->leave_running);
	SET(o, tcp_skip_in_flight, c->tcp_skip_in_flight);
	SET(o, link_remap, c->link_remap);
	if (d->work >= 0)
		SET(o, work_dir_fd, d->work);
	o->freeze_cgroup = (char *)freezer_path(d);
	if (c->page_server) {
		d->ps = (CriuPageServerInfo)CRIU_PAGE_SERVER_INFO__INIT;
		d->ps.address = (char *)c->page_server;
		SET(&d->ps, port, c->page_port);
		o->ps = &d->ps;
	}
	if (c->parent_path) {
		o->parent_img = (char *)c->parent_path;
		SET(o, track_mem, 1);
	}
}

/* Where the process's stdio comes from, so that restore can put other pipes in their places. */
static int write_descriptors(const struct dump *d, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_array(&w);
	for (int i = 0; i < 3; i++) {
		char path[64], link[PATH_MAX];

		snprintf(path, sizeof path, "%d/fd/%d", (int)d->state.init_pid, i);
		ssize_t n = readlinkat(d->procfd, path, link, sizeof link - 1);
		link[n < 0 ? 0 : n] = 0; /* closed: "" */
		jsonw_string(&w, link);
	}
	jsonw_end(&w);
	int r = file_replace(d->images, "descriptors.json", str_c(&out), out.len, 0600, false);
	return r < 0 ? err_sys(e, -r, "write descriptors.json") : 0;
}

static int on_notify(void *arg, const char *script, pid_t pid, int fd, struct err *e)
{
	struct dump *d = arg;

	(void)pid;
	(void)e;
	close_fd(&fd);
	if (strcmp(script, "status-ready") == 0 && d->status_fd >= 0) {
		(void)!write(d->status_fd, "", 1); /* whoever asked may have gone */
		close(d->status_fd);
		d->status_fd = -1;
	}
	return 0;
}

static int run(struct dump *d, struct err *e)
{
	AUTO_CRIU struct criu criu = CRIU_NONE;
	const struct criu_start s = { .program = d->c->criu };
	CriuReq req = CRIU_REQ__INIT;
	CriuOpts opts = CRIU_OPTS__INIT;

	fill(d, &opts);
	if (add_external(d, &opts, e) < 0)
		return -1;
	req.type = d->c->pre_dump ? CRIU_REQ_TYPE__PRE_DUMP : CRIU_REQ_TYPE__DUMP;
	req.opts = &opts;
	if (!d->c->pre_dump) {
		bool has_notify = faccessat(d->state.dirfd, STATE_NOTIFY, F_OK, 0) == 0;

		if (criu_mounts_dump(d->arena, &d->plan, has_notify, d->procfd, d->state.init_pid,
				     &d->mounts, e) < 0 ||
		    write_descriptors(d, e) < 0)
			return -1;
		opts.ext_mnt = d->mounts.v;
		opts.n_ext_mnt = d->mounts.n;
	}
	if (criu_start(&s, &criu, e) < 0)
		return -1;
	if (criu_call(&criu, &req, on_notify, d, NULL, e) == 0)
		return 0;
	criu_quote_log(d->work >= 0 ? d->work : d->images,
		       d->work >= 0 ? d->c->work_path : d->c->image_path, LOG_NAME);
	return -1;
}

int runtime_checkpoint(const struct runtime *rt, const char *id, const struct checkpoint *c,
		       struct err *e)
{
	CLEANUP(dump_done)
	struct dump d = {
		.c = c,
		.arena = arena_new(),
		.state = STATE_NONE,
		.procfd = -1,
		.images = -1,
		.work = -1,
		.status_fd = c->status_fd,
	};

	if (open_container(&d, rt, id, e) < 0 || open_folders(&d, e) < 0 || check_criu(&d, e) < 0)
		return -1;
	return run(&d, e);
}
