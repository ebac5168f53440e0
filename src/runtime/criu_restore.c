/* Restore: a container whose processes criu makes.  The order is create's: folder, cgroup, then
 * the processes in it; config.json is asked for everything that the images need not say. */
#include "runtime/criu_restore.h"

#include "base/log.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/process_record.h"
#include "os/socket.h"
#include "os/syscall.h"
#include "runtime/birth.h"
#include "runtime/bundle.h"
#include "runtime/criu_verify.h"
#include "runtime/hooks.h"
#include "runtime/process.h"
#include "runtime/procfs.h"
#include "runtime/state.h"
#include "runtime/update.h"
#include "runtime/userns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define ROOT_NAME "criu-root"

/* To the mount namespace that we came from, and back; the working folder is that of the caller. */
static int go_to_mounts(const struct restore *k, int ns, struct err *e)
{
	if (ns < 0)
		return 0;
	if (setns(ns, CLONE_NEWNS) < 0)
		return err_sys(e, errno, "join a mount namespace");
	if (ns == k->own_mounts && fchdir(k->cwd) < 0)
		return err_sys(e, errno, "go back to the working directory");
	return 0;
}

static void restore_done(struct restore *k)
{
	struct err ignored = { 0 };

	if (go_to_mounts(k, k->own_mounts, &ignored) < 0)
		log_error(LOG_NONE, "%s", ignored.msg);
	err_clear(&ignored);
	close_fd(&k->own_mounts);
	close_fd(&k->private_mounts);
	close_fd(&k->cwd);

	if (!k->is_done && k->cgroup) {
		(void)cgroup_kill(k->cgroup, SIGKILL, &ignored); /* the first error is told */
		err_clear(&ignored);
		(void)cgroup_destroy(k->cgroup, &ignored);
		err_clear(&ignored);
	}
	if (!k->is_done && k->has_dir)
		(void)state_remove_dir(k->rt->root, k->create->id, &ignored);
	for (size_t i = 0; i < k->start.n_fds; i++)
		close_fd(&k->start.fds[i]);
	cgroup_free(k->cgroup);
	state_done(&k->state);
	plan_done(&k->plan);
	close_fd(&k->procfd);
	if (k->shown >= 0)
		(void)fchmod(k->images, k->closed_mode); /* ours: it could be opened, too */
	close_fd(&k->images);
	close_fd(&k->shown);
	close_fd(&k->work);
	close_fd(&k->console_socket);
	close_fd(&k->console);
	close_fd(&k->pidfd);
	arena_free(k->arena);
}

static int make_plan(struct restore *k, struct err *e)
{
	struct plan_input in = { .id = k->create->id, .spec = k->create->spec };

	in.bundle = bundle_path(k->arena, k->create->bundle, e);
	if (!in.bundle || plan_make(k->arena, &in, &k->plan, e) < 0)
		return -1;
	if (!k->plan.has_process)
		return err_set(e, ERR_INVALID_ARGUMENT, "process property must not be empty");
	if (birth_check_console(&k->plan.process, &k->create->io, e) < 0)
		return -1;
	/* criu makes the processes and what they are in: nobody would do these */
	if (k->plan.rdt)
		return err_set(e, ERR_UNIMPLEMENTED, "linux.intelRdt can't be restored");
	if (k->plan.n_net_devices)
		return err_set(e, ERR_UNIMPLEMENTED, "linux.netDevices can't be restored");
	return 0;
}

/* CRIU wants its root to be a mount point that nothing covers, and opens our folders by our
 * descriptors: so we and it go to a mount namespace where nobody else is, and where nothing needs
 * to be cleaned up, whatever ends us. */
static int enter_private_mounts(struct restore *k, struct err *e)
{
	static const char ns[] = "/proc/self/ns/mnt";

	k->cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	k->own_mounts = open(ns, O_RDONLY | O_CLOEXEC);
	if (k->cwd < 0 || k->own_mounts < 0 || unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "unshare the mount namespace");
	k->private_mounts = open(ns, O_RDONLY | O_CLOEXEC);
	if (k->private_mounts < 0 || mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(e, errno, "cut the mounts off from the host's");
	AUTO_FD int tree = sys_open_tree(AT_FDCWD, k->plan.rootfs,
					 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return err_sys(e, -tree, "copy the mount of %s", k->plan.rootfs);
	int r = sys_move_mount(tree, "", AT_FDCWD, k->root, MOVE_MOUNT_F_EMPTY_PATH);
	if (r < 0)
		return err_sys(e, -r, "mount %s for criu", k->plan.rootfs);
	return 0;
}

/* criu's first process in a new user namespace opens images as the host's root, and from somewhere
 * on as the container's, to whom a folder of the host's root is closed.  So in the view that criu
 * gets the folder's group is the container's root's, and may search it until the end; whose files
 * they are on the disk does not change.  Where the kernel or the file system has no such mounts,
 * criu finds out by itself. */
static int show_images(struct restore *k, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	struct stat st = { 0 };

	if (!k->plan.uid_map || k->rt->rootless)
		return 0;
	AUTO_FD int userns = userns_open(k->procfd, "0 0 4294967295", k->plan.gid_map, e);
	if (userns < 0)
		return -1;
	AUTO_FD int tree =
		sys_open_tree(k->images, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	attr.userns_fd = (uint64_t)userns;
	int r = tree < 0 ? tree : sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attr);
	if (r == 0 && fstat(k->images, &st) < 0)
		r = -errno;
	if (r < 0) {
		log_debug(LOG({ "id", k->create->id }), "the images are shown as they are: %s",
			  err_errno_text(-r));
		return 0;
	}
	if (!(st.st_mode & S_IXGRP) && fchmod(k->images, (st.st_mode & 07777) | S_IXGRP) < 0)
		return err_sys(e, errno, "open %s to the container's root", k->c->image_path);
	k->closed_mode = st.st_mode & 07777;
	k->shown = TAKE_FD(tree);
	return 0;
}

static int open_folders(struct restore *k, struct err *e)
{
	k->images = open(k->c->image_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->images < 0)
		return err_sys(e, errno, "open %s", k->c->image_path);
	if (!k->c->work_path)
		return 0;
	int r = file_mkdirs(k->c->work_path, 0700);
	k->work = r < 0 ? -1 : open(k->c->work_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->work < 0)
		return err_sys(e, r < 0 ? -r : errno, "open the work folder %s", k->c->work_path);
	return 0;
}

static int connect_console(struct restore *k, struct err *e)
{
	const struct runtime_io *io = &k->create->io;

	if (io->console != RUNTIME_CONSOLE_SOCKET)
		return 0;
	k->console_socket = socket_connect(io->console_socket);
	if (k->console_socket < 0)
		return err_sys(e, -k->console_socket, "dial unix %s: connect", io->console_socket);
	return 0;
}

static int make_state(struct restore *k, struct err *e)
{
	const struct oci_spec *spec = k->create->spec;
	struct state *s = &k->state;

	s->dirfd = state_make_dir(k->rt->root, k->create->id, e);
	if (s->dirfd < 0)
		return -1;
	k->has_dir = true;
	AUTO_FREE char *root = xasprintf("%s/%s/" ROOT_NAME, k->rt->root, k->create->id);
	char *real = mkdirat(s->dirfd, ROOT_NAME, 0755) < 0 ? NULL : realpath(root, NULL);
	if (!real)
		return err_sys(e, errno, "make %s", root);
	k->root = arena_strdup(k->arena, real);
	free(real);
	/* One that was created with NOTIFY_SOCKET has it mounted; the rest does without. */
	if (mkdirat(s->dirfd, STATE_NOTIFY, 0755) < 0)
		return err_sys(e, errno, "make the notify folder");
	k->plan.notify = arena_printf(k->arena, "%.*s" STATE_NOTIFY,
				      (int)(strlen(k->root) - strlen(ROOT_NAME)), k->root);
	s->pub = (struct runtime_state){
		.id = k->create->id,
		.bundle = k->plan.bundle,
		.rootfs = k->plan.rootfs,
		.oci_version = OCI_SPEC_VERSION,
		.status = RUNTIME_CREATING,
		.owner = geteuid(),
		.annotations = spec->annotations,
	};
	clock_gettime(CLOCK_REALTIME, &s->pub.created);
	s->ns = k->plan.all_ns;
	s->caps = k->plan.process.caps;
	s->tune = k->plan.process.tune;
	s->apparmor = k->plan.process.apparmor;
	s->selinux = k->plan.process.selinux;
	s->no_new_keyring = k->create->no_new_keyring;
	if (spec->linux.seccomp) { /* asked for only by a filter that notifies */
		s->listener_path = spec->linux.seccomp->listener_path;
		s->listener_metadata = spec->linux.seccomp->listener_metadata;
	}
	s->poststart = spec->hooks.poststart;
	s->poststop = spec->hooks.poststop;
	return 0;
}

/* For exec, which brings its own processes; the restored ones have the images'. */
static int save_seccomp(struct restore *k, struct err *e)
{
	const char *cache = arena_printf(k->arena, "%s/" STATE_SECCOMP_CACHE, k->rt->root);
	struct seccomp_filter filter = { 0 };

	if (!k->create->spec->linux.seccomp)
		return 0;
	if (seccomp_compile(k->create->spec->linux.seccomp, cache, &filter, e) < 0)
		return -1;
	int r = filter.insns ? criu_verify_filters(k->images, &filter, e) : 0;
	if (r == 0 && filter.insns)
		r = state_save_seccomp(&k->state, &filter, e);
	seccomp_filter_done(&filter);
	return r;
}

static int note_place(void *data, const char *controller, const char *path, struct err *e)
{
	const struct restore *k = data;

	return state_add_place(&k->state, controller, path, e);
}

static int make_cgroup(struct restore *k, struct err *e)
{
	const struct oci_spec *s = k->create->spec;
	struct cgroup_config cfg = {
		.path = s->linux.cgroups_path,
		.id = k->create->id,
		.systemd = k->rt->systemd_cgroup,
		.rootless = k->rt->rootless,
		.annotations = &s->annotations,
		.on_place = note_place,
		.data = k,
	};

	if (s->linux.resources)
		update_warn_kernel_memory(k->create->id, s->linux.resources);
	k->state.resources = update_print(k->arena, s->linux.resources);
	if (cgroup_create(&cfg, s->linux.resources, &k->cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	cgroup_paths(k->cgroup, k->arena, &k->state.pub.cgroup_paths);
	(void)cgroup_unit(k->cgroup, &k->state.unit); /* borrowed: both live as long as k */
	return 0;
}

static int run_hooks(struct restore *k, struct err *e)
{
	const struct oci_hooks *h = &k->create->spec->hooks;
	AUTO_STR struct str out = STR_INIT(RUNTIME_STATE_TEXT_MAX);
	struct runtime_state s = k->state.pub;

	s.pid = k->pid;
	runtime_state_json(&s, &out);
	/* hooks set up the host's side: they belong to its mounts */
	if (go_to_mounts(k, k->own_mounts, e) < 0 ||
	    hooks_run(&h->prestart, HOOKS_AT("prestart", NULL, STEPS_RUNTIME), str_c(&out),
		      s.bundle, e) < 0 ||
	    hooks_run(&h->create_runtime, HOOKS_AT("createRuntime", NULL, STEPS_RUNTIME),
		      str_c(&out), s.bundle, e) < 0)
		return -1;
	return go_to_mounts(k, k->private_mounts, e);
}

/* criu gives restored processes a time namespace of their own where it can. */
static void note_time_namespace(struct restore *k)
{
	struct stat own, theirs;
	char path[64];

	snprintf(path, sizeof path, "%d/ns/time", (int)k->pid);
	if (fstatat(k->procfd, "self/ns/time", &own, 0) == 0 &&
	    fstatat(k->procfd, path, &theirs, 0) == 0 && own.st_ino != theirs.st_ino)
		k->state.ns |= plan_ns_flag(OCI_NS_TIME);
}

static int record(struct restore *k, struct err *e)
{
	char state;

	/* our child and not reaped: the number can't be anybody else's */
	k->pidfd = sys_pidfd_open(k->pid, 0);
	if (k->pidfd < 0)
		return err_sys(e, -k->pidfd, "open a pidfd of process %d", (int)k->pid);
	int r = process_start_time(k->procfd, k->pid, &k->state.start_time, &state);
	if (r < 0)
		return err_sys(e, -r, "read the start time of process %d", (int)k->pid);
	k->state.init_pid = k->pid;
	note_time_namespace(k);
	return state_write(&k->state, e);
}

/* config.json's, as a new container would have them: nothing of the images is asked. */
static int set_limits(struct restore *k, struct err *e)
{
	const struct plan_process *p = &k->plan.process;

	if (process_set_rlimits(k->pid, p, e) < 0)
		return -1;
	return process_set_oom_score(k->procfd, k->pid, p, e);
}

/* Not one of them may run, in whichever cgroup the images put it. */
static void kill_all(struct restore *k, const struct cgroup_pids *tree)
{
	struct err ignored = { 0 };

	(void)cgroup_kill(k->cgroup, SIGKILL, &ignored); /* the first error is told */
	for (size_t i = 0; i < tree->n; i++)
		(void)kill(tree->v[i], SIGKILL); /* stopped, so not reaped by its parent either */
	(void)kill(k->pid, SIGKILL);
}

/* All stand still, with everything that they will have.  criu goes on whatever we answer. */
static int verify(struct restore *k, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids tree = { 0 };
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };
	bool has_seccomp = k->create->spec->linux.seccomp != NULL;
	size_t n = 0;

	if (k->pid <= 0)
		return err_set(e, ERR_DATA_LOSS, "criu did not say which process it restored");
	int r = criu_list_tree(k->procfd, k->pid, &tree, e);
	if (r == 0)
		r = cgroup_list_pids(k->cgroup, &pids, e);
	for (size_t i = 0; i < pids.n; i++) /* criu itself is there too */
		if (pids.v[i] != k->state.pub.pid)
			pids.v[n++] = pids.v[i];
	if (r < 0 || criu_verify(&k->plan, has_seccomp, k->procfd, k->pid, tree.v, tree.n, e) < 0 ||
	    criu_verify(&k->plan, has_seccomp, k->procfd, k->pid, pids.v, n, e) < 0 ||
	    set_limits(k, e) < 0) {
		kill_all(k, &tree);
		return -1;
	}
	k->is_checked = true;
	return 0;
}

static int on_notify(void *arg, const char *script, pid_t pid, int fd, struct err *e)
{
	struct restore *k = arg;

	if (strcmp(script, "orphan-pts-master") == 0 && fd >= 0)
		return birth_take_console(k->create->io.console, k->console_socket, fd, &k->console,
					  e);
	close_fd(&fd);
	if (pid > 0 && !k->pid)
		k->pid = pid;
	if (strcmp(script, "setup-namespaces") == 0)
		return run_hooks(k, e);
	if (strcmp(script, "post-restore") == 0)
		return record(k, e);
	if (strcmp(script, "pre-resume") == 0)
		return verify(k, e);
	return 0;
}

static int run(struct restore *k, struct err *e)
{
	AUTO_CRIU struct criu criu = CRIU_NONE;
	CriuReq req = CRIU_REQ__INIT;
	CriuOpts opts = CRIU_OPTS__INIT;

	k->start.program = k->c->criu;
	if (criu_request_fill(k, &opts, e) < 0 || criu_start(&k->start, &criu, e) < 0)
		return -1;
	if (cgroup_attach(k->cgroup, criu.pid, e) < 0 || cgroup_finish(k->cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	if (criu_request_cgroups(k, criu.pid, &opts, e) < 0)
		return -1;
	k->state.pub.pid = criu.pid;
	req.type = CRIU_REQ_TYPE__RESTORE;
	req.opts = &opts;
	int r = criu_call(&criu, &req, on_notify, k, NULL, e);
	k->state.pub.pid = 0;
	if (r == 0 && !k->is_checked)
		return err_set(e, ERR_UNAVAILABLE,
			       "criu did not ask before the processes went on: too old?");
	if (r == 0)
		return 0;
	criu_quote_log(k->work >= 0 ? k->work : k->images,
		       k->work >= 0 ? k->c->work_path : k->c->image_path, CRIU_RESTORE_LOG);
	return -1;
}

static int prepare(struct restore *k, struct err *e)
{
	const struct checkpoint *c = k->c;

	if (make_plan(k, e) < 0 ||
	    criu_check_version(c->criu,
			       c->lsm_profile || c->lsm_mount_context ? CRIU_VERSION_LSM
								      : CRIU_VERSION_MIN,
			       e) < 0)
		return -1;
	k->procfd = procfs_open(e);
	if (k->procfd < 0 || connect_console(k, e) < 0 || make_state(k, e) < 0 ||
	    make_cgroup(k, e) < 0 || criu_mounts_prepare(&k->plan, e) < 0)
		return -1;
	if (enter_private_mounts(k, e) < 0 || open_folders(k, e) < 0 || show_images(k, e) < 0)
		return -1;
	return save_seccomp(k, e);
}

int runtime_restore(const struct runtime *rt, const struct runtime_create *create,
		    const struct checkpoint *c, struct runtime_process *ret, struct err *e)
{
	CLEANUP(restore_done)
	struct restore k = {
		.rt = rt,
		.create = create,
		.c = c,
		.arena = arena_new(),
		.state = STATE_NONE,
		.own_mounts = -1,
		.private_mounts = -1,
		.cwd = -1,
		.procfd = -1,
		.images = -1,
		.shown = -1,
		.work = -1,
		.console_socket = -1,
		.console = -1,
		.pidfd = -1,
	};

	*ret = RUNTIME_PROCESS_NONE;
	if (prepare(&k, e) < 0 || run(&k, e) < 0 || go_to_mounts(&k, k.own_mounts, e) < 0 ||
	    birth_write_pid_file(create->io.pid_file, k.pid, e) < 0)
		return -1;
	/* they go with the rest otherwise */
	(void)unlinkat(k.state.dirfd, ROOT_NAME, AT_REMOVEDIR);
	if (!criu_has_notify(&k.plan, k.procfd, k.pid))
		(void)unlinkat(k.state.dirfd, STATE_NOTIFY, AT_REMOVEDIR);
	*ret = (struct runtime_process){ k.pid, TAKE_FD(k.pidfd), TAKE_FD(k.console) };
	k.is_done = true;
	return 0;
}
