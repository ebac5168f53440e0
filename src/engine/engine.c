#include "engine/engine.h"

#include "base/log.h"
#include "engine/collector.h"
#include "engine/events.h"
#include "engine/network.h"
#include "engine/nri.h"
#include "engine/restart.h"
#include "image/flight.h"
#include "image/verify.h"
#include "os/file.h"
#include "task/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* Root folders are the daemon's alone (ARCHITECTURE.md, invariant 1); one that exists with a wider
 * mode is narrowed, as it is after another containerd's time (CVE-2024-25621).  Folders that are
 * everybody's, as /tmp is, stay: somebody chose a strange place. */
static int make_private(const char *path, mode_t mode, struct err *e)
{
	struct stat st;
	int r = file_mkdirs(path, mode);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", path);
	AUTO_FD int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open %s", path);
	if ((st.st_mode & 0777) == mode || (st.st_mode & S_ISVTX) || st.st_uid != geteuid())
		return 0;
	if (chmod(path, mode) < 0)
		return err_sys(e, errno, "chmod %s", path);
	return 0;
}

/* Whoever is named for a socket must reach it: the folder may then be passed through, no more. */
static mode_t state_mode(const struct config *cfg)
{
	bool is_shared = cfg->grpc.uid || cfg->grpc.gid || cfg->ttrpc.uid || cfg->ttrpc.gid ||
			 cfg->debug.uid || cfg->debug.gid;

	return is_shared ? 0711 : 0700;
}

/* Two daemons on one root would both own its containers.  The lock dies with the process. */
static int lock_root(const struct config *cfg, int *ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/.lock", cfg->root);
	int r = file_lock(path, ret);

	if (r == -EAGAIN)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "another daemon is running on %s (it holds %s)", cfg->root, path);
	return r < 0 ? err_sys(e, -r, "lock %s", path) : 0;
}

/* Shims' events go into the exchange as they are. */
static int publish_for_tasks(void *arg, struct timespec time, const char *ns, const char *topic,
			     const struct any *event, struct err *e)
{
	const struct engine *en = arg;

	return events_forward(en->events, time, ns, topic, event->type_url, event->value, event->n,
			      e);
}

static int open_tasks(struct engine *en, struct err *e)
{
	const struct config *cfg = en->cfg;

	en->tasks_env = (struct tasks_env){
		.root = cfg->root,
		.state = cfg->state,
		.address = cfg->grpc.address,
		.ttrpc_address = cfg->ttrpc.address,
		.self = cfg->self,
		.shim_env = cfg->shim_env,
		.n_shim_env = cfg->n_shim_env,
		.debug = cfg->level >= LOG_DEBUG,
		.timeouts = cfg->timeouts,
		.loop = en->loop,
		.pool = en->pool,
		.publish = publish_for_tasks,
		.arg = en,
	};
	en->sandboxes = sandboxes_new(&en->tasks_env);
	en->tasks = tasks_new(&en->tasks_env);
	if (tasks_recover(en->sandboxes, e) < 0)
		return -1;
	return tasks_recover(en->tasks, e);
}

const char *engine_checkpoints(const struct engine *en, struct arena *a)
{
	return arena_printf(a, "%s/checkpoints", en->cfg->root);
}

static void remove_checkpoints(const struct engine *en)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *path = engine_checkpoints(en, a);
	int r = file_remove_tree(AT_FDCWD, path);

	if (r < 0)
		log_warn(LOG({ "error", err_errno_text(-r) }), "cannot remove %s", path);
}

static void make_uuid(char out[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof b, 0) != sizeof b)
		BUG("getrandom gave less than it was asked for");
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10 */
	b[8] = (b[8] & 0x3f) | 0x80;
	for (size_t i = 0, o = 0; i < sizeof b; i++) {
		static const char hex[] = "0123456789abcdef";

		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[o++] = '-';
		out[o++] = hex[b[i] >> 4];
		out[o++] = hex[b[i] & 15];
	}
	out[36] = 0;
}

/* The one of the root, made once.  A disk that is full gets none: then it is this process's. */
static void load_uuid(struct engine *en)
{
	AUTO_FREE char *dir = xasprintf("%s/io.containerd.grpc.v1.introspection", en->cfg->root);
	AUTO_FREE char *path = xasprintf("%s/uuid", dir);
	AUTO_FREE char *text = NULL;
	int r = file_read(AT_FDCWD, path, 128, &text, NULL);

	if (!r && strlen(text) >= sizeof en->uuid - 1) {
		memcpy(en->uuid, text, sizeof en->uuid - 1);
		return;
	}
	make_uuid(en->uuid);
	r = file_mkdirs(dir, 0700);
	if (r >= 0)
		r = file_replace(AT_FDCWD, path, en->uuid, sizeof en->uuid - 1, 0600, true);
	if (r < 0)
		log_warn(LOG({ "error", err_errno_text(-r) }, { "file", path }),
			 "cannot keep the daemon's uuid: it is another one after the next start");
}

static struct verifier *verifier_new(const struct config *cfg)
{
	static const char type[] = "io.containerd.image-verifier.v1";
	struct verifier v = { .bin_dir = cfg->verifier.bin_dir ?: "",
			      .max_verifiers = cfg->verifier.max_verifiers,
			      .timeout = cfg->verifier.timeout,
			      .policy = cfg->verifier.policy ?: "" };

	if (config_plugin_is_disabled(cfg, type, "bindir"))
		v.bin_dir = "";
	if (config_plugin_is_disabled(cfg, type, "policy"))
		v.policy = "";
	if (!*v.bin_dir && !*v.policy)
		return NULL;
	v.marks = xasprintf("%s/%s.policy", cfg->root, type);
	return memcpy(xmalloc(sizeof v), &v, sizeof v);
}

static void verifier_free(struct verifier *v)
{
	if (v)
		free((char *)v->marks);
	free(v);
}

static int open_parts(struct engine *en, struct err *e)
{
	const struct config *cfg = en->cfg;

	if (make_private(cfg->root, 0700, e) < 0 ||
	    make_private(cfg->state, state_mode(cfg), e) < 0)
		return -1;
	if (lock_root(cfg, &en->lock_fd, e) < 0)
		return -1;
	remove_checkpoints(en);
	load_uuid(en);
	en->events = events_new();
	AUTO_FREE char *mounts = xasprintf("%s/io.containerd.mount-manager.v1.bolt/t", cfg->state);
	const struct store_options opt = { .snapshotters = cfg->snapshotters,
					   .n_snapshotters = CONFIG_SNAPSHOTTERS,
					   .proxies = cfg->proxies,
					   .n_proxies = cfg->n_proxies,
					   .content = cfg->content.name ? &cfg->content : NULL,
					   .isolate_content = strcmp(cfg->content_sharing ?: "",
								     "isolated") == 0,
					   .mounts_path = mounts };
	if (store_open_with(cfg->root, &opt, &en->store, e) < 0)
		return -1;
	en->verifier = verifier_new(cfg);
	en->flights = flights_new();
	en->collector = collector_new(en->store, &cfg->gc, en->loop, en->pool);
	collector_set_verifier(en->collector, en->verifier);
	if (open_tasks(en, e) < 0)
		return -1;
	en->network = network_new(en);
	en->nri = engine_nri_new(en);
	en->restarter = restarter_new(en);
	return 0;
}

int engine_open(const struct config *cfg, struct loop *loop, struct pool *pool, struct engine **ret,
		struct err *e)
{
	struct engine *en = NEW(struct engine);

	en->cfg = cfg;
	en->loop = loop;
	en->pool = pool;
	en->lock_fd = -1;
	if (open_parts(en, e) < 0) {
		engine_close(en);
		return -1;
	}
	*ret = en;
	return 0;
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	restarter_free(en->restarter);
	engine_nri_free(en->nri);
	network_free(en->network);
	tasks_free(en->tasks);
	tasks_free(en->sandboxes);
	collector_free(en->collector);
	flights_free(en->flights);
	verifier_free(en->verifier);
	store_close(en->store);
	if (en->events)
		events_free(en->events);
	close_fd(&en->lock_fd);
	free(en);
}
