/* On the real kernel, as root: the machine's own layout, and pure v2 in a mount namespace. */
#include "base/test.h"
#include "cgroup/private.h"
#include "cgroup/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *rules = "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}";

static struct cgroup *create(struct arena *a, const char *json, const char *path)
{
	const struct cgroup_config cfg = { .path = path,
					   .id = "cgroup-test",
					   .devices_later = path != NULL };
	struct oci_resources *r = NULL;
	struct cgroup *cg = NULL;
	struct err e = { 0 };

	CHECK_OK(oci_resources_parse(a, json, strlen(json), &r, &e), &e);
	CHECK_OK(cgroup_create(&cfg, r, &cg, &e), &e);
	CHECK_OK(cgroup_finish(cg, &e), &e);
	return cg;
}

/* A child in the cgroup that says whether it may open /dev/kmsg (1:11) and then waits. */
static pid_t start(struct cgroup *cg, bool by_itself, int *ret_verdict)
{
	struct err e = { 0 };
	int go[2], said[2];
	char c = 0;

	CHECK(pipe2(go, O_CLOEXEC) == 0 && pipe2(said, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		(void)!read(go[0], &c, 1);
		if (by_itself && cgroup_enter(cg, false, &e) < 0)
			_exit(3);
		int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
		char v = (char)(fd < 0 ? errno : 0);
		(void)!write(said[1], &v, 1);
		for (;;)
			pause();
	}
	if (!by_itself)
		CHECK_OK(cgroup_attach(cg, pid, &e), &e);
	close(TAKE_FD(said[1])); /* a child that can't is an end of file */
	CHECK(write(go[1], "x", 1) == 1 && read(said[0], &c, 1) == 1);
	*ret_verdict = (unsigned char)c;
	for (int i = 0; i < 2; i++) {
		close_fd(&go[i]);
		close_fd(&said[i]);
	}
	return pid;
}

static void check_only_process(const char *folder, pid_t pid)
{
	AUTO_FREE char *path = xasprintf("%s/cgroup.procs", folder);
	char text[32] = "", want[32];
	FILE *f = fopen(path, "re");

	CHECK(f && fread(text, 1, sizeof text - 1, f) > 0);
	snprintf(want, sizeof want, "%d\n", (int)pid);
	CHECK_STR(text, want);
	fclose(f);
}

static void life(const char *path, bool by_itself)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup *cg = create(a, rules, path), *again = NULL;
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };
	const struct cgroup_config cfg = { .path = path, .id = "cgroup-test" };
	struct oci_pairs paths;
	struct cgroup_stat st;
	struct err e = { 0 };
	int verdict, status;
	bool frozen;

	pid_t pid = start(cg, by_itself && cgroup_can_enter(cg), &verdict);
	CHECK(verdict == EPERM);
	CHECK_OK(cgroup_list_pids(cg, &pids, &e), &e);
	CHECK(pids.n == 1 && pids.v[0] == pid);
	CHECK_FAIL(cgroup_create(&cfg, NULL, &again, &e), &e, ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "container's cgroup is not empty: 1 process(es) found");
	err_clear(&e);

	cgroup_paths(cg, a, &paths);
	for (size_t i = 0; i < paths.n; i++)
		check_only_process(paths.v[i].value, pid);
	cgroup_free(cg);
	CHECK_OK(cgroup_load(&paths, &cg, &e), &e);
	CHECK_OK(cgroup_freeze(cg, &e), &e);
	CHECK_OK(cgroup_is_frozen(cg, &frozen, &e), &e);
	CHECK(frozen);
	CHECK_OK(cgroup_stat(cg, a, &st, &e), &e);
	CHECK_OK(cgroup_kill(cg, SIGKILL, &e), &e);
	CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
	CHECK(access(paths.v[0].value, F_OK) < 0);
	for (size_t i = 0; path && i < paths.n; i++) {
		AUTO_FREE char *parent =
			xasprintf("%.*s", (int)strlen(paths.v[i].value) - 2, paths.v[i].value);
		(void)rmdir(parent); /* the folder on the way is the caller's to remove */
	}
	cgroup_free(cg);
	CHECK_OK(cgroup_load(&paths, &cg, &e), &e);
	CHECK_OK(cgroup_kill(cg, SIGKILL, &e), &e);
	cgroup_free(cg);
}

static void life_attached(const char *path)
{
	life(path, false);
}

/* Runs in a child with a mount namespace of its own, where only cgroup2 is to be seen. */
static void in_v2(void (*fn)(const char *path), const char *path)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		CHECK(unshare(CLONE_NEWNS) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		CHECK(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) == 0);
		fn(path);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

TEST(life_here)
{
	life("/cgroup-test-abs/x", false);
	life(NULL, false);
	life("/cgroup-test-abs/x", true);
	life(NULL, true);
}

TEST(life_on_v2)
{
	in_v2(life_attached, "/cgroup-test-abs/x");
	in_v2(life_attached, NULL);
}

static void signal_and_reap(struct cgroup *cg, pid_t pid)
{
	struct err e = { 0 };
	int status;

	CHECK_OK(cgroup_kill(cg, SIGKILL, &e), &e);
	CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
}

/* A container with its cgroups in reach may stop its own processes below. */
TEST(kill_reaches_a_child_that_froze_itself)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *cg = create(a, rules, NULL);
	const struct cgroup_dir *dir = cgroup_find(cg, CG_FREEZER);
	bool is_v1 = cg->layout != CGROUP_V2;
	char text[32];
	int verdict;
	pid_t pid = start(cg, false, &verdict);

	CHECK(dir && mkdirat(dir->fd, "below", 0755) == 0);
	AUTO_FD int below = openat(dir->fd, "below", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(text, sizeof text, "%d", (int)pid);
	CHECK(cg_write(below, "cgroup.procs", text) == 0);
	CHECK(cg_write(below, is_v1 ? "freezer.state" : "cgroup.freeze", is_v1 ? "FROZEN" : "1") ==
	      0);
	signal_and_reap(cg, pid);
}

/* Whoever began to kill it was killed before it could thaw. */
TEST(destroy_thaws_who_is_to_die)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *cg = create(a, rules, NULL);
	struct err e = { 0 };
	int verdict, status;
	pid_t pid = start(cg, false, &verdict);

	CHECK_OK(cgroup_freeze(cg, &e), &e);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
	CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
}

NORETURN static void multiply(int go)
{
	char c;

	(void)!read(go, &c, 1);
	for (;;)
		(void)fork();
}

/* Killing is faster than forking, and what it is not faster than stands still. */
TEST(kill_ends_a_fork_bomb)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *cg = create(a, "{\"pids\":{\"limit\":300}}", NULL);
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };
	struct err e = { 0 };
	int go[2];

	CHECK(pipe2(go, O_CLOEXEC) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(setpgid(0, 0) == 0);
		multiply(go[0]);
	}
	CHECK_OK(cgroup_attach(cg, pid, &e), &e);
	CHECK(write(go[1], "x", 1) == 1);
	for (int i = 0; i < 1000 && pids.n < 100; i++) {
		cgroup_pids_done(&pids);
		CHECK_OK(cgroup_list_pids(cg, &pids, &e), &e);
		usleep(1000);
	}
	CHECK(pids.n >= 100);
	signal_and_reap(cg, pid);
	close(TAKE_FD(go[0]));
	close(TAKE_FD(go[1]));
}

TEST(limits_here)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *cg = create(
		a,
		"{\"memory\":{\"limit\":33554432},\"pids\":{\"limit\":9},\"cpu\":{\"shares\":512}}",
		NULL);
	struct oci_resources *r = NULL;
	struct cgroup_stat st;
	struct err e = { 0 };

	CHECK_OK(cgroup_stat(cg, a, &st, &e), &e);
	if (st.layout != CGROUP_V2 && st.has_memory)
		CHECK(st.memory_v1.usage.limit == 33554432);
	if (st.has_pids)
		CHECK(st.pids_limit == 9);
	static const char more[] = "{\"memory\":{\"limit\":67108864,\"swap\":67108864}}";
	CHECK_OK(oci_resources_parse(a, more, strlen(more), &r, &e), &e);
	CHECK_OK(cgroup_update(cg, r, &e), &e);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
}

/* A hybrid may have its huge pages on the v2 side, which has no file "tasks". */
TEST(enters_the_v2_side_of_a_hybrid_that_has_limits)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_pairs paths;
	struct err e = { 0 };
	int verdict, status;

	AUTO_CGROUP struct cgroup *cg = create(a, rules, NULL);
	for (size_t i = 0; i < cg->n;
	     i++) /* as create does for such limits; not every machine can */
		cg->dirs[i].controllers |= cg->dirs[i].is_v2 ? CG_HUGETLB : 0;
	pid_t pid = start(cg, cgroup_can_enter(cg), &verdict);

	cgroup_paths(cg, a, &paths);
	for (size_t i = 0; i < paths.n; i++)
		check_only_process(paths.v[i].value, pid);
	CHECK_OK(cgroup_kill(cg, SIGKILL, &e), &e);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_OK(cgroup_destroy(cg, &e), &e);
}

TEST(refusals)
{
	const struct cgroup_config root = { .path = "/x/..", .id = "a" };
	const struct cgroup_config systemd = { .path = "a:b:c", .id = "a", .systemd = true };
	struct cgroup *cg = NULL;
	struct err e = { 0 };

	CHECK_FAIL(cgroup_create(&root, NULL, &cg, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "cgroupsPath \"/x/..\" is the root of the hierarchy");
	err_clear(&e);
	CHECK(cgroup_create(&systemd, NULL, &cg, &e) < 0);
	CHECK(strstr(e.msg, "systemd"));
	err_clear(&e);

	struct oci_pair bad[] = { { "memory", "/sys/fs/cgroup/../../../etc" } };
	CHECK_FAIL(cgroup_load(&(struct oci_pairs){ bad, 1 }, &cg, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	bad[0].value = "/etc";
	CHECK_FAIL(cgroup_load(&(struct oci_pairs){ bad, 1 }, &cg, &e), &e,
		   ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "/etc is not a cgroup");
}
