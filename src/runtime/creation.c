#include "runtime/creation.h"

#include "base/log.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "runtime/bundle.h"
#include "runtime/delegate.h"
#include "runtime/join.h"
#include "runtime/lsm.h"
#include "runtime/procfs.h"
#include "runtime/rootfs.h"
#include "runtime/rootless.h"
#include "runtime/trees.h"
#include "runtime/update.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

void creation_init(struct creation *k, const struct runtime *rt, const struct runtime_create *c)
{
	*k = (struct creation){
		.rt = rt,
		.c = c,
		.arena = arena_new(),
		.state = STATE_NONE,
		.birth = BIRTH_NONE,
		.net = NETNS_NONE,
		.moves = NETDEV_MOVES_NONE,
		.resctrl = -1,
		.pidns = -1,
		.launch = { .root_tree = -1,
			    .no_pivot = c->no_pivot,
			    .no_new_keyring = c->no_new_keyring,
			    .hooks = &c->spec->hooks,
			    .steps = rt->steps,
			    .end = { .procfd = -1,
				     .sync = -1,
				     .host_ptmx = -1,
				     .fifo = -1,
				     .io = &c->io } },
	};
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		k->launch.join_fds[i] = -1;
}

static void close_launch(struct creation *k)
{
	struct launch *l = &k->launch;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		close_fd(&l->join_fds[i]);
	for (size_t i = 0; l->trees && i < k->plan.n_mounts; i++)
		close_fd(&l->trees[i]);
	close_fd(&l->root_tree);
	close_fd(&l->end.fifo);
	close_fd(&l->end.procfd);
	close_fd(&l->end.sync);
	close_fd(&l->end.host_ptmx);
}

void creation_done(struct creation *k)
{
	struct err ignored = { 0 };

	birth_done(&k->birth); /* first: the cgroup can go only without it */
	netns_done(&k->net);
	if (!k->is_done && k->cgroup)
		(void)cgroup_destroy(k->cgroup, &ignored); /* the first error is the one to tell */
	err_clear(&ignored);
	if (!k->is_done && k->has_dir)
		(void)state_remove_dir(k->rt->root, k->c->id, &ignored);
	if (!k->is_done && k->resctrl >= 0)
		rdt_remove(k->resctrl, &k->state.rdt);
	close_fd(&k->resctrl);
	if (!k->is_done)
		netdev_undo(&k->moves);
	netdev_moves_done(&k->moves);
	if (!k->is_done && k->is_on_host)
		rootfs_undo(k->plan.rootfs, k->host_mount);
	close_launch(k);
	cgroup_free(k->cgroup);
	state_done(&k->state);
	seccomp_filter_done(&k->seccomp);
	plan_done(&k->plan);
	arena_free(k->arena);
}

static int make_plan(struct creation *k, struct err *e)
{
	struct plan_input in = { .id = k->c->id, .spec = k->c->spec };

	in.bundle = bundle_path(k->arena, k->c->bundle, e);
	if (!in.bundle || plan_make(k->arena, &in, &k->plan, e) < 0)
		return -1;
	for (size_t i = 0; i < k->plan.warnings.n; i++)
		log_warn(LOG({ "id", k->c->id }), "%s", k->plan.warnings.v[i]);
	if (!k->plan.has_process)
		return err_set(e, ERR_INVALID_ARGUMENT, "process property must not be empty");
	k->launch.plan = &k->plan;
	if (rootless_check(&k->plan, e) < 0)
		return -1;
	if (k->plan.has_late_readonly) {
		k->launch.late = arena_array(k->arena, k->plan.n_mounts, sizeof(int));
		for (size_t i = 0; i < k->plan.n_mounts; i++)
			k->launch.late[i] = -1;
	}
	k->launch.end.process = &k->plan.process;
	k->launch.end.keeps_groups = rootless_denies_groups(&k->plan);
	k->launch.end.is_shown = k->plan.uid_map && !rootless_is_privileged();
	k->launch.end.seccomp = &k->seccomp;
	return 0;
}

static int check_rootfs(struct creation *k, struct err *e)
{
	const struct plan *p = &k->plan;
	struct stat st;

	if (stat(p->rootfs, &st) < 0)
		return err_sys(e, errno, "invalid rootfs: stat %s", p->rootfs);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid rootfs: %s is not a directory",
			       p->rootfs);
	if (p->all_ns & CLONE_NEWNS)
		return 0;
	if (rootfs_mount_id(p->rootfs, &k->host_mount, e) < 0)
		return -1;
	k->is_on_host = true;
	return 0;
}

static int compile_seccomp(struct creation *k, struct err *e)
{
	if (!k->c->spec->linux.seccomp)
		return 0;
	const char *cache = arena_printf(k->arena, "%s/" STATE_SECCOMP_CACHE, k->rt->root);
	if (seccomp_compile(k->c->spec->linux.seccomp, cache, &k->seccomp, e) < 0)
		return -1;
	/* in runc's words and numbers, for which TSYNC is no flag of the filter */
	log_debug(LOG({ "id", k->c->id }), "seccomp filter flags: %u",
		  k->seccomp.flags & ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC);
	return 0;
}

/* What the plan cannot know: this kernel, and how we were called. */
static int check_more(struct creation *k, struct err *e)
{
	if (k->plan.all_ns & CLONE_NEWTIME &&
	    faccessat(k->launch.end.procfd, "self/timens_offsets", F_OK, 0) < 0)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "time namespaces aren't enabled in the kernel");
	if (lsm_check(&k->plan.process, k->plan.mount_label, e) < 0)
		return -1;
	if (k->plan.rdt) {
		k->resctrl = rdt_open(e);
		if (k->resctrl < 0)
			return -1;
	}
	if (k->plan.n_net_devices && (k->rt->rootless || geteuid() != 0))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "network devices are not supported for rootless containers");
	if (k->c->no_pivot && k->plan.root_propagation & MS_PRIVATE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "rootfsPropagation of [r]private is not safe without pivot_root");
	return 0;
}

static int open_joins(struct creation *k, struct err *e)
{
	for (size_t i = 0; i < k->plan.n_joins; i++) {
		const struct plan_join *j = &k->plan.joins[i];
		int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0)
			return err_sys(e, errno, "open %s namespace %s", oci_ns_names[j->type],
				       j->path);
		k->launch.join_fds[i] = fd;
		if (join_check(&k->plan, j, k->launch.end.procfd, fd, e) < 0)
			return -1;
		if (j->type == OCI_NS_PID) {
			k->pidns = fd;
			k->launch.in_two_steps |=
				!(k->plan.new_ns & CLONE_NEWUSER) && !birth_may_join_pid();
		}
		if (j->type == OCI_NS_USER) {
			k->launch.in_two_steps |= plan_clone_flags(&k->plan) != 0;
			k->launch.end.keeps_groups |=
				rootless_join_denies_groups(j->path, k->launch.end.procfd);
		}
	}
	return 0;
}

static int note_place(void *data, const char *controller, const char *path, struct err *e)
{
	const struct creation *k = data;

	return state_add_place(&k->state, controller, path, e);
}

/* What a mount of v1's cgroups shows: a user who may make none in a hierarchy stays where he is. */
static int show_cgroups(struct creation *k, struct err *e)
{
	struct oci_pairs *shown = &k->launch.cgroup_paths, own;
	AUTO_CGROUP struct cgroup *cg = NULL;

	*shown = k->state.pub.cgroup_paths;
	if (!k->rt->rootless || k->launch.cgroup_layout == CGROUP_V2)
		return 0;
	if (cgroup_load_pid(getpid(), &cg, e) < 0)
		return -1;
	cgroup_paths(cg, k->arena, &own);
	for (size_t i = 0; i < own.n; i++)
		for (size_t j = 0; j < shown->n; j++)
			if (strcmp(own.v[i].key, shown->v[j].key) == 0)
				own.v[i] = shown->v[j];
	*shown = own;
	return 0;
}

static int make_cgroup(struct creation *k, struct err *e)
{
	const struct oci_spec *s = k->c->spec;
	struct cgroup_config cfg = {
		.path = s->linux.cgroups_path,
		.id = k->c->id,
		.systemd = k->rt->systemd_cgroup,
		.rootless = k->rt->rootless,
		.devices_later = true, /* record_child() */
		.annotations = &s->annotations,
		.on_place = note_place,
		.data = k,
	};

	if (s->linux.resources)
		update_warn_kernel_memory(k->c->id, s->linux.resources);
	cfg.has_owner = delegate_owner(s, &cfg.owner);
	if (cgroup_create(&cfg, s->linux.resources, &k->cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	cgroup_paths(k->cgroup, k->arena, &k->state.pub.cgroup_paths);
	(void)cgroup_unit(k->cgroup, &k->state.unit); /* borrowed: both live as long as k */
	k->launch.cgroup_layout = cgroup_layout_of(k->cgroup);
	if (k->rt->rootless && !k->state.pub.cgroup_paths.n && !(k->plan.all_ns & CLONE_NEWPID))
		log_warn(LOG({ "id", k->c->id }), /* runc's words */
			 "Creating a rootless container with no cgroup and no private pid "
			 "namespace. Such configuration is strongly discouraged (as it is "
			 "impossible to properly kill all container's processes) and will result "
			 "in an error in a future runc version.");
	return show_cgroups(k, e);
}

static int make_state(struct creation *k, bool is_run, struct err *e)
{
	struct state *s = &k->state;

	s->dirfd = state_make_dir(k->rt->root, k->c->id, e);
	if (s->dirfd < 0)
		return -1;
	k->has_dir = true;
	s->pub = (struct runtime_state){
		.id = k->c->id,
		.bundle = k->plan.bundle,
		.rootfs = k->plan.rootfs,
		.oci_version = OCI_SPEC_VERSION,
		.status = RUNTIME_CREATING,
		.owner = geteuid(),
		.annotations = k->c->spec->annotations,
	};
	clock_gettime(CLOCK_REALTIME, &s->pub.created);
	s->ns = k->plan.all_ns;
	s->caps = k->plan.process.caps;
	s->no_new_keyring = k->c->no_new_keyring;
	s->resources = update_print(k->arena, k->c->spec->linux.resources);
	s->tune = k->plan.process.tune;
	s->apparmor = k->plan.process.apparmor;
	s->selinux = k->plan.process.selinux;
	s->poststart = k->c->spec->hooks.poststart;
	s->poststop = k->c->spec->hooks.poststop;
	if (k->seccomp.insns && state_save_seccomp(s, &k->seccomp, e) < 0)
		return -1;
	if (k->c->on_dir && k->c->on_dir(s->dirfd, k->c->on_dir_arg, e) < 0)
		return -1;
	if (seccomp_has_listener(&k->seccomp)) {
		s->listener_path = k->c->spec->linux.seccomp->listener_path;
		s->listener_metadata = k->c->spec->linux.seccomp->listener_metadata;
		k->birth.listener = (struct birth_listener){ .path = s->listener_path,
							     .metadata = s->listener_metadata,
							     .state = &s->pub,
							     .is_init = true };
	}
	if (is_run)
		return 0;
	if (mkfifoat(s->dirfd, STATE_FIFO, 0600) < 0)
		return err_sys(e, errno, "make " STATE_FIFO " of container %s", k->c->id);
	k->launch.end.fifo = openat(s->dirfd, STATE_FIFO, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (k->launch.end.fifo < 0)
		return err_sys(e, errno, "open " STATE_FIFO " of container %s", k->c->id);
	return 0;
}

/* The child waits for it, so it begins before there is a plan.  In a new user namespace only its
 * own root may make one: there clone3() does, and where we need the namespace ourselves. */
static int begin_netns(struct creation *k, struct err *e)
{
	const struct oci_linux *l = &k->c->spec->linux;
	bool is_new = false;

	if (l->n_net_devices)
		return 0;
	for (size_t i = 0; i < l->n_namespaces; i++) {
		if (l->namespaces[i].type == OCI_NS_USER)
			return 0;
		if (l->namespaces[i].type == OCI_NS_NETWORK)
			is_new = !l->namespaces[i].path;
	}
	if (!is_new)
		return 0;
	k->launch.net = &k->net;
	return netns_begin(&k->net, e);
}

/* The rootfs is needed now; a caller that makes it meanwhile is waited for. */
static int take_root(struct creation *k, struct err *e)
{
	const struct runtime_create *c = k->c;

	if (!c->on_root)
		return 0;
	steps_begin(k->rt->steps, STEPS_RUNTIME, "wait for the rootfs");
	return c->on_root(c->on_root_arg, e) < 0 ? -1 : check_rootfs(k, e);
}

int creation_prepare(struct creation *k, bool is_run, struct err *e)
{
	struct steps *steps = k->rt->steps;

	steps_begin(steps, STEPS_RUNTIME, "plan");
	if (begin_netns(k, e) < 0 || make_plan(k, e) < 0 ||
	    (!k->c->on_root && check_rootfs(k, e) < 0))
		return -1;
	k->launch.end.procfd = procfs_open(e);
	if (k->launch.end.procfd < 0)
		return -1;
	if (birth_prepare_io(&k->plan.process, &k->c->io, &k->birth, &k->launch.end.host_ptmx, e) <
	    0)
		return -1;
	if (check_more(k, e) < 0 || open_joins(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "seccomp filter");
	if (compile_seccomp(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "state folder");
	if (make_state(k, is_run, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "cgroups");
	if (make_cgroup(k, e) < 0 || take_root(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "mount sources");
	if (trees_open(&k->launch, k->arena, e) < 0)
		return -1;
	k->launch.state = &k->state.pub;
	return 0;
}
