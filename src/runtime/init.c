/* The container's first process: from clone3 to execve.  Order matters everywhere: see stage.h. */
#include "base/log.h"
#include "os/clone.h"
#include "os/path.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "runtime/device.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/mask.h"
#include "runtime/mount.h"
#include "runtime/mount_api.h"
#include "runtime/process.h"
#include "runtime/procfs.h"
#include "runtime/rootfs.h"
#include "runtime/rootless.h"
#include "runtime/stage.h"

#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A joined user namespace need not own the others that are joined: those are entered with the
 * rights that we have outside of it.  What we may not enter here is left to join_namespaces().
 * Returns the CLONE_NEW… of those that are done. */
static uint64_t join_before_user(const struct launch *l)
{
	const struct plan *p = l->plan;
	const uint64_t later = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;
	uint64_t done = 0;

	if (!(p->all_ns & ~p->new_ns & CLONE_NEWUSER))
		return 0;
	for (size_t i = 0; i < p->n_joins; i++) {
		uint64_t flag = plan_ns_flag(p->joins[i].type);

		if (!(flag & later) && setns(l->join_fds[i], (int)flag) == 0)
			done |= flag;
	}
	return done;
}

static int join_namespaces(const struct launch *l, uint64_t done, struct err *e)
{
	const struct plan *p = l->plan;

	for (size_t i = 0; i < p->n_joins; i++) {
		uint64_t flag = plan_ns_flag(p->joins[i].type);

		/* the parent joined the pid namespace: it takes effect for children only */
		if (flag == CLONE_NEWPID || (flag == CLONE_NEWUSER && l->in_two_steps) ||
		    flag & done)
			continue;
		if (setns(l->join_fds[i], (int)flag) < 0)
			return err_sys(e, errno, "join %s namespace %s",
				       oci_ns_names[p->joins[i].type], p->joins[i].path);
	}
	return 0;
}

/* In a user namespace we are nobody until we become its root. */
static int become_root(const struct launch *l, struct err *e)
{
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(e, errno, "become root in the user namespace");
	if (!l->end.keeps_groups && setgroups(0, NULL) < 0)
		return err_sys(e, errno, "drop the groups in the user namespace");
	return 0;
}

static int set_names(const struct plan *p, struct err *e)
{
	if (p->hostname && sethostname(p->hostname, strlen(p->hostname)) < 0)
		return err_sys(e, errno, "sethostname");
	if (p->domainname && setdomainname(p->domainname, strlen(p->domainname)) < 0)
		return err_sys(e, errno, "setdomainname");
	return 0;
}

static int set_sysctls(const struct launch *l, struct err *e)
{
	const struct oci_pairs *s = &l->plan->sysctl;

	for (size_t i = 0; i < s->n; i++) {
		AUTO_FREE char *path = xasprintf("sys/%s", s->v[i].key);

		if (procfs_write(l->end.procfd, path, s->v[i].value, e) < 0)
			return err_wrap(e, "error setting sysctl");
	}
	return 0;
}

/* Hooks in here see themselves: the pid is the one that the container knows. */
static int run_own_hooks(const struct launch *l, const struct oci_hook_list *hooks,
			 const char *kind, enum runtime_status status, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(RUNTIME_STATE_TEXT_MAX);
	struct runtime_state s = *l->state;

	if (!hooks->n)
		return 0;
	s.status = status;
	s.pid = getpid();
	runtime_state_json(&s, &text);
	return hooks_run(hooks, HOOKS_AT(kind, l->steps, STEPS_INIT), str_c(&text), NULL, e);
}

/* They are programs of the container: without an environment of their own they have its. */
static int run_start_hooks(const struct launch *l, struct err *e)
{
	const struct oci_hook_list *from = &l->hooks->start_container;
	AUTO_FREE struct oci_hook *v = xcalloc(from->n + 1, sizeof *v);
	struct oci_hook_list hooks = { v, from->n };
	const char **env = l->end.process->env;
	size_t n = 0;

	while (env[n])
		n++;
	for (size_t i = 0; i < hooks.n; i++) {
		v[i] = from->v[i];
		if (!v[i].env.n)
			v[i].env = (struct oci_strings){ env, n };
	}
	return run_own_hooks(l, &hooks, "startContainer", RUNTIME_CREATED, e);
}

static int run_hooks(const struct launch *l, int rootfd, struct err *e)
{
	const struct oci_hooks *h = l->hooks;

	/* the container's own hooks too see it in its limits, and its state written */
	if (h->prestart.n || h->create_runtime.n || h->create_container.n) {
		if (stage_send(l->end.sync, STAGE_HOOKS, -1, e) < 0 ||
		    stage_wait(l->end.sync, STAGE_RESUME, e) < 0)
			return -1;
	}
	/* The host's programs start in the container's rootfs: all that tells them where it is. */
	if (h->create_container.n && fchdir(rootfd) < 0)
		return err_sys(e, errno, "chdir to the rootfs for createContainer hooks");
	return run_own_hooks(l, &h->create_container, "createContainer", RUNTIME_CREATING, e);
}

/* A new network namespace has a loopback interface, and the kernel leaves it down. */
static int loopback_up(struct err *e)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any socket's ioctl */
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, errno, "bring the loopback interface up");
	return 0;
}

/* New namespaces belong to the user namespace that one is in when they are made: for a joined one
 * that is after setns, so a second clone is needed.  The parent gets the new process as its own
 * child; we end.  Returns in the new process. */
static int clone_successor(const struct launch *l, struct err *e)
{
	const struct plan *p = l->plan;
	int pidfd = -1;
	struct clone_args args = {
		.flags = plan_clone_flags(p) | CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
	};

	for (size_t i = 0; i < p->n_joins; i++) {
		uint64_t flag = plan_ns_flag(p->joins[i].type);

		if (flag != CLONE_NEWUSER && flag != CLONE_NEWPID)
			continue;
		if (setns(l->join_fds[i], (int)flag) < 0)
			return err_sys(e, errno, "join %s namespace %s",
				       oci_ns_names[p->joins[i].type], p->joins[i].path);
		/* sources are opened by the successor, as the user that we were */
		if (flag == CLONE_NEWUSER && !l->sources && become_root(l, e) < 0)
			return -1;
	}
	int pid = clone_process(&args);
	if (pid < 0)
		return err_sys(e, -pid, "clone3 in the user namespace");
	if (pid == 0) /* what we say must not come before the word about us */
		return stage_wait(l->end.sync, STAGE_GO, e);
	if (stage_send_child(l->end.sync, pid, pidfd, e) < 0)
		return -1;
	_exit(0);
}

/* The parent writes the offsets, which is over once anybody is in the namespace; then we go in, as
 * a process with one thread may. */
static int enter_time_namespace(const struct launch *l, struct err *e)
{
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(e, errno, "unshare the time namespace");
	if (l->end.is_shown) /* the file is the user's only so */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (stage_send(l->end.sync, STAGE_TIME, -1, e) < 0 ||
	    stage_wait(l->end.sync, STAGE_RESUME, e) < 0)
		return -1;
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	AUTO_FD int fd =
		openat(l->end.procfd, "thread-self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the time namespace");
	if (setns(fd, CLONE_NEWTIME) < 0)
		return err_sys(e, errno, "enter the time namespace");
	return 0;
}

static int enter_namespaces(const struct launch *l, struct err *e)
{
	if (l->enters && cgroup_enter(l->enters, l->in_cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	if (l->go == LAUNCH_AT_ONCE && stage_wait(l->end.sync, STAGE_GO, e) < 0)
		return -1;
	if (l->plan->uid_map)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* rootless_show_child() */
	uint64_t done = join_before_user(l);
	if (l->in_two_steps && clone_successor(l, e) < 0)
		return -1;
	if (join_namespaces(l, done, e) < 0 || (l->sources && mount_open_sources(l, e) < 0))
		return -1;
	if ((l->plan->all_ns & CLONE_NEWUSER) && become_root(l, e) < 0)
		return -1;
	if (l->plan->time_offsets && enter_time_namespace(l, e) < 0)
		return -1;
	if ((l->plan->new_ns & CLONE_NEWNET) && !l->net && loopback_up(e) < 0)
		return -1;
	/* Only now: its root is the cgroup that we are in. */
	if ((l->plan->new_ns & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, errno, "unshare the cgroup namespace");
	int r = mount_api_begin(l->end.procfd);
	if (r < 0)
		return err_sys(e, -r, "get ready to mount");
	return 0;
}

/* As runc does, before the root becomes read-only.  What can't be looked at here (a link into
 * /proc, no access) is left to the chdir, which says so. */
static int make_cwd(const struct launch *l, int rootfd, struct err *e)
{
	const char *cwd = l->plan->process.cwd;

	if (strcmp(cwd, "/") == 0)
		return 0;
	int r = path_mkdirs(rootfd, cwd, 0755);
	if (r >= 0)
		close(r);
	return r >= 0 || r == -ELOOP || r == -EXDEV || r == -EACCES
		       ? 0
		       : err_sys(e, -r, "mkdir %s", cwd);
}

static int build_root(const struct launch *l, int rootfd, struct err *e)
{
	steps_begin(l->steps, STEPS_INIT, "mounts and devices");
	if (mount_all(l, rootfd, e) < 0 || device_make_all(l, rootfd, e) < 0)
		return -1;
	steps_begin(l->steps, STEPS_INIT, "network namespace");
	if (l->net && netns_enter(l->net, e) < 0) /* at the latest: hooks look at it */
		return -1;
	if (l->go == LAUNCH_BEFORE_HOOKS && stage_wait(l->end.sync, STAGE_GO, e) < 0)
		return -1;
	steps_begin(l->steps, STEPS_INIT, "wait for the runtime");
	if (run_hooks(l, rootfd, e) < 0)
		return -1;
	steps_begin(l->steps, STEPS_INIT, "masks and root");
	/* Masks while the host's own /dev/null is still at hand. */
	if (mask_protect_paths(l, rootfd, e) < 0 || mask_paths(l, rootfd, e) < 0 ||
	    rootfs_enter(l, rootfd, e) < 0 || make_cwd(l, rootfd, e) < 0)
		return -1;
	/* after the hooks, and still before anything of the container's could run */
	if (process_connect(&l->end, rootfd, l->plan->make_devices, e) < 0)
		return -1;
	if (mask_protect_mounts(l, e) < 0 || rootfs_finish(l, rootfd, e) < 0 ||
	    set_names(l->plan, e) < 0)
		return -1;
	return set_sysctls(l, e);
}

static int init_prepare(const struct launch *l, char **ret_path, struct err *e)
{
	steps_begin(l->steps, STEPS_INIT, "cgroups and namespaces");
	if (enter_namespaces(l, e) < 0 || process_begin(&l->end, e) < 0 ||
	    (!l->no_new_keyring && process_join_keyring(l->plan->id, e) < 0))
		return -1;
	umask(0); /* modes in the plan are exact */
	AUTO_FD int rootfd = rootfs_attach(l, e);
	if (rootfd < 0 || build_root(l, rootfd, e) < 0)
		return err_wrap(e, "error during container init");
	umask(0022);
	steps_begin(l->steps, STEPS_INIT, "user, rights, seccomp");
	if (process_become(&l->end, TAKE_FD(rootfd), ret_path, e) < 0)
		return -1;
	if (l->end.is_shown)
		rootless_show_self();
	steps_end(l->steps, STEPS_INIT);
	return 0;
}

static void end_by_signal(int sig)
{
	_exit(128 + sig);
}

/* The first process of a pid namespace is spared by every signal that it has no handler for.  A
 * container that was never started is to end like one whose program has not asked for more; execve
 * takes the handlers away. */
static void end_on_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction end = { .sa_handler = end_by_signal }, now;

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			(void)sigaction(signals[i], &end, NULL); /* it can't fail */
}

/* A created container waits for one byte in its fifo; we hold it open for writing too, so there
 * is no end of file. */
static int wait_for_start(const struct launch *l, struct err *e)
{
	char byte;
	ssize_t n;

	if (l->end.fifo < 0)
		return stage_wait(l->end.sync, STAGE_START, e);
	end_on_signals();
	close(l->end.sync); /* the parent may go: from here on start comes by the fifo */
	do
		n = read(l->end.fifo, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : err_sys(e, n < 0 ? errno : EIO, "wait for start");
}

static void say(const char *text)
{
	(void)!write(2, text, strlen(text)); /* nobody else listens any more */
}

void init_main(const struct launch *l)
{
	struct err e = { 0 };
	char *path = NULL;

	/* The only line from in here: later the log's descriptor is the container's, or closed. */
	log_debug(LOG_NONE, "child process in init()");
	/* Our parent's memory is in here: nobody may look into it or at our fds. */
	if (!l->plan->uid_map) /* else once the parent is done */
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (init_prepare(l, &path, &e) < 0 || stage_say(l->end.sync, STAGE_READY, 0, &e) < 0) {
		stage_send_failed(l->end.sync, &e);
		_exit(1);
	}
	bool may_start = wait_for_start(l, &e) == 0;

	if (may_start && run_start_hooks(l, &e) == 0)
		process_execute(&l->end, path, &e);
	if (!may_start && l->end.fifo < 0) { /* our parent, who gave up, says why */
		stage_send_failed(l->end.sync, &e);
		_exit(1);
	}
	/* It counts as started, as with runc: the reason is the last word of the container. */
	say(e.msg);
	say("\n");
	_exit(255); /* as runc's init does */
}
