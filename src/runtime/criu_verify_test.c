/* What is refused of restored processes: on made-up states and images, and on live processes. */
#include "runtime/criu_verify.h"

#include "base/str.h"
#include "base/test.h"
#include "os/fd.h"
#include "runtime/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(cap) (UINT64_C(1) << (cap))
#define TEMPLATE "/tmp/criu-verify-test-XXXXXX"

static gid_t groups[] = { 1000, 10 };

static struct plan plan_of_user(void)
{
	struct plan p = { 0 };

	p.process.uid = 1000;
	p.process.gid = 1000;
	p.process.groups = groups;
	p.process.n_groups = 2;
	p.process.no_new_privileges = true;
	p.process.caps.is_set = true;
	p.process.caps.bounding = BIT(CAP_CHOWN) | BIT(CAP_SETUID);
	return p;
}

/* As the kernel writes it; the parts that a test changes. */
struct status {
	const char *uid, *gid, *groups, *inherited, *prm, *eff, *bnd, *amb, *nnp, *seccomp;
};

static const struct status good = { "1000\t1000\t1000\t1000",
				    "1000\t1000\t1000\t1000",
				    "10 1000 ",
				    "0000000000000000",
				    "0000000000000000",
				    "0000000000000000",
				    "0000000000000081",
				    "0000000000000000",
				    "1",
				    "2" };

static int check(const struct plan *p, const struct criu_id_maps *m, struct status s, struct err *e)
{
	AUTO_FREE char *text = xasprintf(
		"Name:\tn\nState:\tt (tracing stop)\nUid:\t%s\nGid:\t%s\nFDSize:\t64\nGroups:\t%s\n"
		"CapInh:\t%s\nCapPrm:\t%s\nCapEff:\t%s\nCapBnd:\t%s\nCapAmb:\t%s\nNoNewPrivs:\t%s\n"
		"Seccomp:\t%s\nSeccomp_filters:\t1\n",
		s.uid, s.gid, s.groups, s.inherited, s.prm, s.eff, s.bnd, s.amb, s.nnp, s.seccomp);
	static const struct criu_id_maps none;

	return criu_verify_status(p, true, m ? m : &none, 7, text, e);
}

TEST(a_user_is_the_configs)
{
	static const struct {
		const char *want;
		struct status s;
	} rows[] = {
		{ "uid", { .uid = "0\t0\t0\t0" } },
		{ "uid", { .uid = "1000\t0\t1000\t1000" } },
		{ "uid", { .uid = "1000\t1000\t0\t1000" } },
		{ "uid", { .uid = "1000\t1000\t1000\t0" } },
		{ "uid", { .uid = "1000" } },
		{ "gid", { .gid = "0\t1000\t1000\t1000" } },
		{ "groups", { .groups = "0 10 1000 " } },
		{ "groups", { .groups = "1000 " } },
		{ "groups", { .groups = "" } },
		{ "capabilities (CapPrm)", { .prm = "0000000000000001" } },
		{ "capabilities (CapEff)", { .eff = "0000000000000080" } },
		{ "capabilities (CapInh)", { .inherited = "0000000000000001" } },
		{ "capabilities (CapAmb)", { .amb = "0000000000000001" } },
		{ "capabilities (CapBnd)", { .bnd = "0000000000000083" } },
		{ "no_new_privs", { .nnp = "0" } },
		{ "seccomp", { .seccomp = "0" } },
	};
	struct plan p = plan_of_user();
	struct err e = { 0 };

	CHECK_OK(check(&p, NULL, good, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const *from = (const char *const *)&rows[i].s;
		struct status s = good;

		for (size_t k = 0; k < sizeof s / sizeof *from; k++)
			if (from[k])
				((const char **)&s)[k] = from[k];
		e = (struct err){ 0 };
		CHECK_FAIL(check(&p, NULL, s, &e), &e, ERR_PERMISSION_DENIED);
		CHECK(strstr(e.msg, "the images do not fit config.json: process 7 has"));
		CHECK(strstr(e.msg, rows[i].want));
	}
}

TEST(who_may_change_users_may_have_changed)
{
	struct plan p = plan_of_user();
	struct status s = good;
	struct err e = { 0 };

	s.uid = "33\t33\t33\t33";
	p.process.caps.permitted = BIT(CAP_SETUID);
	CHECK_OK(check(&p, NULL, s, &e), &e);
	s.gid = "33\t33\t33\t33"; /* takes CAP_SETGID */
	CHECK_FAIL(check(&p, NULL, s, &e), &e, ERR_PERMISSION_DENIED);
	e = (struct err){ 0 };
	/* without no_new_privs a program may bring what is in the bounding set */
	s = good;
	s.uid = "0\t0\t0\t0";
	s.prm = s.eff = "0000000000000081";
	p.process.caps.permitted = 0;
	CHECK_FAIL(check(&p, NULL, s, &e), &e, ERR_PERMISSION_DENIED);
	e = (struct err){ 0 };
	p.process.no_new_privileges = false;
	CHECK_OK(check(&p, NULL, s, &e), &e);
	p.process.caps.bounding = BIT(CAP_CHOWN);
	s.prm = s.eff = s.bnd = "0000000000000001";
	CHECK_FAIL(check(&p, NULL, s, &e), &e, ERR_PERMISSION_DENIED);
	CHECK(strstr(e.msg, "another uid"));
}

TEST(ids_are_those_of_the_user_namespace)
{
	struct criu_id_maps m = { .uid = (char *)"         0     100000      65536\n",
				  .gid = (char *)"  0  200000  500\n  1000 300000 1\n" };
	struct plan p = plan_of_user();
	struct status s = good;
	struct err e = { 0 };

	CHECK_FAIL(check(&p, &m, s, &e), &e, ERR_PERMISSION_DENIED);
	s.uid = "101000\t101000\t101000\t101000";
	s.gid = "300000\t300000\t300000\t300000";
	s.groups = "200010 300000 ";
	e = (struct err){ 0 };
	CHECK_OK(check(&p, &m, s, &e), &e);
	p.process.uid = 70000; /* nobody there */
	CHECK_FAIL(check(&p, &m, s, &e), &e, ERR_PERMISSION_DENIED);
}

TEST(the_dead_are_left_alone)
{
	CHECK(criu_status_is_dead("Name:\tn\nState:\tZ (zombie)\n"));
	CHECK(!criu_status_is_dead("Name:\tState:\nState:\tt (tracing stop)\n"));
	CHECK(!criu_status_is_dead(""));
}

static struct sock_filter ours[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
				     BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) };

static size_t put(uint8_t *at, unsigned n_bytes, uint32_t k, int prev)
{
	struct sock_filter f[2] = { ours[0], ours[1] };
	size_t n = 0;

	f[1].k = k;
	at[n++] = 0x0a; /* programs */
	at[n++] = (uint8_t)(2 + n_bytes + (prev < 0 ? 0 : 2));
	at[n++] = 0x0a; /* filter */
	at[n++] = (uint8_t)n_bytes;
	memcpy(at + n, f, n_bytes);
	n += n_bytes;
	if (prev >= 0) {
		at[n++] = 0x10;
		at[n++] = (uint8_t)prev;
	}
	return n;
}

static int check_image(const uint8_t *body, size_t n, size_t claimed, struct err *e)
{
	const struct seccomp_filter f = { .insns = ours, .n = 2 };
	const uint32_t head[3] = { 0x54564319, 0x64413049, (uint32_t)claimed };
	char top[] = TEMPLATE;

	CHECK(mkdtemp(top));
	AUTO_FD int dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = openat(dir, "seccomp.img", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(write(fd, head, sizeof head) == sizeof head && write(fd, body, n) == (ssize_t)n);
	int r = criu_verify_filters(dir, &f, e);
	CHECK(unlinkat(dir, "seccomp.img", 0) == 0 && rmdir(top) == 0);
	return r;
}

TEST(filters_begin_with_the_profiles)
{
	enum { SAME = 0x7fff0000, OTHER = 0x50001 };
	static const struct {
		const char *want; /* NULL: fits */
		struct {
			unsigned n;
			uint32_t k;
			int prev;
		} f[2];
	} rows[] = {
		{ NULL, { { 16, SAME, -1 } } },
		{ NULL, { { 16, SAME, -1 }, { 16, OTHER, 0 } } }, /* its own upon ours */
		{ NULL, { { 16, SAME, -1 }, { 16, SAME, -1 } } },
		{ "another seccomp filter", { { 16, OTHER, -1 } } },
		{ "another seccomp filter", { { 8, SAME, -1 } } },
		{ "another seccomp filter", { { 16, SAME, -1 }, { 16, OTHER, -1 } } },
		{ "another seccomp filter", { { 16, OTHER, -1 }, { 16, SAME, 0 } } },
		{ "in no order", { { 16, SAME, -1 }, { 16, OTHER, 1 } } },
		{ "in no order", { { 16, OTHER, 1 }, { 16, SAME, -1 } } },
		{ "there is no seccomp filter", { { 0 } } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t body[128];
		size_t n = 0;
		struct err e = { 0 };

		for (size_t k = 0; k < 2 && rows[i].f[k].n; k++)
			n += put(body + n, rows[i].f[k].n, rows[i].f[k].k, rows[i].f[k].prev);
		int r = check_image(body, n, n, &e);
		CHECK(rows[i].want ? r < 0 && strstr(e.msg, rows[i].want) : r == 0);
		e = (struct err){ 0 };
		CHECK_FAIL(check_image(body, n, n + 1, &e), &e, ERR_PERMISSION_DENIED);
		CHECK(strstr(e.msg, "is no image"));
	}
}

TEST(an_image_is_a_file)
{
	const struct seccomp_filter f = { .insns = ours, .n = 2 };
	char top[] = TEMPLATE;
	struct err e = { 0 };

	CHECK(mkdtemp(top));
	AUTO_FD int dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_FAIL(criu_verify_filters(dir, &f, &e), &e, ERR_PERMISSION_DENIED);
	CHECK(strstr(e.msg, "there is no seccomp.img"));
	CHECK(mkfifoat(dir, "seccomp.img", 0600) == 0);
	e = (struct err){ 0 };
	CHECK_FAIL(criu_verify_filters(dir, &f, &e), &e, ERR_PERMISSION_DENIED);
	CHECK(unlinkat(dir, "seccomp.img", 0) == 0);
	CHECK(symlinkat("/etc/passwd", dir, "seccomp.img") == 0);
	e = (struct err){ 0 };
	CHECK(criu_verify_filters(dir, &f, &e) < 0);
	CHECK(unlinkat(dir, "seccomp.img", 0) == 0 && rmdir(top) == 0);
}

/* A child that did what is asked of it and then sleeps; -1: the machine does not let it. */
static pid_t start(int flags, const char *root)
{
	int fds[2];
	char done = 0;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		done = unshare(flags) == 0 && (!root || chroot(root) == 0) ? 1 : 2;
		(void)!write(fds[1], &done, 1);
		for (;;)
			pause();
	}
	CHECK(read(fds[0], &done, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	if (done == 1)
		return pid;
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	return -1;
}

static void end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static int check_live(pid_t pid, struct plan *p, struct err *e)
{
	AUTO_FD int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct criu_id_maps none = { 0 };

	return criu_verify_process(p, false, &none, procfd, getpid(), pid, e);
}

/* Whoever runs the test: only places are compared. */
static struct plan plan_of_us(void)
{
	struct plan p = { 0 };

	p.process.caps = (struct plan_caps){ .is_set = true, .bounding = ~BIT(CAP_SYS_CHROOT) };
	return p;
}

TEST(every_process_is_where_the_first_is)
{
	static const struct {
		int flag;
		const char *name;
	} rows[] = { { CLONE_NEWNS, "mnt" },        { CLONE_NEWNET, "net" },
		     { CLONE_NEWIPC, "ipc" },       { CLONE_NEWUTS, "uts" },
		     { CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWUSER, "user" } };

	size_t seen = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pid_t pid = start(rows[i].flag, NULL);
		struct plan p = plan_of_us();
		struct err e = { 0 };

		if (pid < 0)
			continue; /* not root, or not let */
		AUTO_FREE char *want =
			xasprintf("process %d is in another %s namespace", (int)pid, rows[i].name);
		CHECK_FAIL(check_live(pid, &p, &e), &e, ERR_PERMISSION_DENIED);
		CHECK(strstr(e.msg, want));
		end(pid);
		seen++;
	}
	if (!seen)
		SKIP("no namespace can be made");
}

TEST(a_root_of_its_own)
{
	pid_t pid = start(0, "/tmp");
	struct plan p = plan_of_us();
	struct err e = { 0 };

	if (pid < 0)
		SKIP("chroot is not allowed");
	CHECK_FAIL(check_live(pid, &p, &e), &e, ERR_PERMISSION_DENIED);
	CHECK(strstr(e.msg, "has another root"));
	end(pid);
}

/* A root in a mount namespace of its own: `source` is bound at /real/conf, to which /conf leads,
 * and, with more, a tmpfs at /other.  It ends with the process that made it. */
static bool make_root(const char *top, const char *source, bool more)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("root", top, "tmpfs", 0, NULL) < 0 || chdir(top) < 0)
		return false;
	if (mkdir("real", 0755) < 0 || mkdir("real/conf", 0755) < 0 || mkdir("other", 0755) < 0 ||
	    symlink("/real/conf", "conf") < 0 ||
	    mount(source, "real/conf", NULL, MS_BIND, NULL) < 0 ||
	    (more && mount("more", "other", "tmpfs", 0, NULL) < 0))
		return false;
	return syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
	       chdir("/") == 0;
}

static int check_root(const char *top, const char *source, bool more, struct err *e)
{
	struct mount_op mounts[] = { { .kind = MOUNT_BIND, .dest = "/conf", .source = source } };
	struct plan p = { .mounts = mounts, .n_mounts = ARRAY_LEN(mounts) };
	int fds[2], r = 1;
	char done = 0;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		done = make_root(top, source, more);
		(void)!write(fds[1], &done, 1);
		for (;;)
			pause();
	}
	CHECK(read(fds[0], &done, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	if (done) {
		AUTO_FD int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		AUTO_FREE char *path = xasprintf("%d/root", (int)pid);
		AUTO_FD int rootfd = openat(procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

		r = criu_verify_mounts(&p, procfd, pid, rootfd, e);
	}
	end(pid);
	return r;
}

TEST(a_mount_is_where_a_link_leads)
{
	char top[] = TEMPLATE, source[] = TEMPLATE;
	struct err e = { 0 };

	CHECK(mkdtemp(top) && mkdtemp(source));
	int r = check_root(top, source, false, &e);
	struct err extra = { 0 };
	int refused = r > 0 ? r : check_root(top, source, true, &extra);
	CHECK(rmdir(top) == 0 && rmdir(source) == 0);
	if (r > 0)
		SKIP("no mount can be made");
	CHECK_OK(r, &e);
	CHECK_FAIL(refused, &extra, ERR_PERMISSION_DENIED);
	CHECK(strstr(extra.msg, "there is a mount at /other"));
}

TEST(children_and_theirs_are_found)
{
	AUTO_FD int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct cgroup_pids tree = { 0 };
	struct err e = { 0 };
	pid_t pid = start(0, NULL), other = start(0, NULL);

	CHECK(pid > 0 && other > 0);
	CHECK_OK(criu_list_tree(procfd, getpid(), &tree, &e), &e);
	CHECK(tree.n == 2 && tree.v[0] == pid && tree.v[1] == other);
	cgroup_pids_done(&tree);
	end(pid);
	end(other);
}
