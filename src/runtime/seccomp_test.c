#include "runtime/seccomp.h"

#include "base/str.h"
#include "base/test.h"
#include "runtime/seccomp_cache.h"
#include "runtime/seccomp_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ALLOW_EXIT "{\"names\":[\"exit_group\",\"write\",\"futex\"],\"action\":\"SCMP_ACT_ALLOW\"}"
#define DOC(seccomp) \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"seccomp\":" seccomp "}}"

static const struct oci_seccomp *profile(struct arena *a, const char *text)
{
	struct oci_spec *s = NULL;
	struct err e = { 0 };

	CHECK_OK(oci_spec_parse(a, text, strlen(text), &s, &e), &e);
	return s->linux.seccomp;
}

/* The errno of one system call under the filter; 0: it went well; -1: killed. */
static int verdict(const struct seccomp_filter *f, long nr, long arg)
{
	struct err e = { 0 };
	int status, listener;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    seccomp_filter_load(f, &listener, &e) < 0)
			syscall(SYS_exit_group, 255);
		syscall(SYS_exit_group, syscall(nr, arg, 0, 0, 0, 0, 0) < 0 ? errno : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void compile(struct arena *a, const char *text, const char *dir, struct seccomp_filter *f)
{
	struct err e = { 0 };

	CHECK_OK(seccomp_compile(profile(a, text), dir, f, &e), &e);
}

TEST(default_allow_and_one_errno)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 };

	compile(a,
		DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getppid\","
		    "\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77},"
		    "{\"names\":[\"getuid\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]}"),
		NULL, &f);
	CHECK(verdict(&f, SYS_getppid, 0) == 77);
	CHECK(verdict(&f, SYS_getuid, 0) == -1);
	CHECK(verdict(&f, 9999, 0) == ENOSYS); /* the kernel's own */
	CHECK(verdict(&f, SYS_getgid, 0) == 0);
}

TEST(newer_calls_get_enosys_and_unlisted_ones_the_default)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 }, g = { 0 };

	compile(a, DOC("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" ALLOW_EXIT "]}"),
		NULL, &f);
	CHECK(verdict(&f, SYS_getpid, 0) == EPERM);
	CHECK(verdict(&f, 9999, 0) == ENOSYS);
	CHECK(verdict(&f, SYS_setns, 0) == ENOSYS); /* behind exit_group, the largest named */
	compile(a,
		DOC("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,"
		    "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"
		    "\"syscalls\":[" ALLOW_EXIT ",{\"names\":[\"openat2\"],\"action\":"
		    "\"SCMP_ACT_ERRNO\",\"errnoRet\":1}]}"),
		NULL, &g);
	CHECK(verdict(&g, SYS_setns, 0) == EPERM);
	CHECK(verdict(&g, 9999, 0) == ENOSYS);
}

TEST(arguments)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 };

	compile(a,
		DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"dup\"],"
		    "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":70,\"args\":[{\"index\":0,"
		    "\"value\":7,\"valueTwo\":4,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
		    "{\"names\":[\"getpgid\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":71,"
		    "\"args\":[{\"index\":0,\"value\":5,\"op\":\"SCMP_CMP_EQ\"},"
		    "{\"index\":0,\"value\":900,\"op\":\"SCMP_CMP_GT\"}]}]}"),
		NULL, &f);
	CHECK(verdict(&f, SYS_dup, 12) == 70 && verdict(&f, SYS_dup, 0) == 0);
	/* two on one argument are alternatives */
	CHECK(verdict(&f, SYS_getpgid, 5) == 71 && verdict(&f, SYS_getpgid, 901) == 71);
	CHECK(verdict(&f, SYS_getpgid, 0) == 0);
}

static const struct {
	const char *text, *want;
	enum err_code code;
} refusals[] = {
	{ DOC("{\"defaultAction\":\"ALLOW\"}"), "string ALLOW is not a valid action for seccomp",
	  ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/s\"}"),
	  "SCMP_ACT_NOTIFY cannot be used as default action", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\",\"syscalls\":[{"
	      "\"names\":[\"dup\",\"write\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}"),
	  "SCMP_ACT_NOTIFY cannot be used for the write syscall", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"\",\"syscalls\":[{"
	      "\"names\":[\"dup\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}"),
	  "seccomp listenerPath is not set", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"VAX\"]}"),
	  "string VAX is not a valid arch for seccomp", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}"),
	  "seccomp flags not yet supported by runc: X", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}"),
	  "seccomp: errnoRet is set for SCMP_ACT_ALLOW, which returns none", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}"),
	  "seccomp: errnoRet is 5000, must be at most 4095", ERR_INVALID_ARGUMENT },
	{ DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"dup\"],"
	      "\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"=\"}]}]}"),
	  "string = is not a valid operator for seccomp", ERR_INVALID_ARGUMENT },
};

TEST(refusals)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct seccomp_filter f = { 0 };
		struct err e = { 0 };

		CHECK_FAIL(seccomp_compile(profile(a, refusals[i].text), NULL, &f, &e), &e,
			   refusals[i].code);
		CHECK_STR(e.msg, refusals[i].want);
		CHECK(!f.insns);
	}
}

TEST(flags)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 }, g = { 0 };

	compile(a, DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"), NULL, &f);
	CHECK(f.flags == 4); /* SPEC_ALLOW */
	compile(a,
		DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":"
		    "[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_TSYNC\"]}"),
		NULL, &g);
	CHECK(g.flags == 2);
}

/* NEW_LISTENER is 8, WAIT_KILLABLE_RECV 32: the one says nothing without the other. */
TEST(listener_flags)
{
	static const char flag[] = "\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]";
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 }, g = { 0 }, h = { 0 };

	compile(a,
		arena_printf(
			a, DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\",%s}"),
			flag),
		NULL, &f);
	CHECK(f.flags == 0 && !seccomp_has_listener(&f));
	compile(a,
		arena_printf(a,
			     DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\",%s,"
				 "\"syscalls\":[{\"names\":[\"dup\"],\"action\":"
				 "\"SCMP_ACT_NOTIFY\"}]}"),
			     flag),
		NULL, &g);
	CHECK(g.flags == (8 | 32) && seccomp_has_listener(&g));
	compile(a,
		DOC("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\",\"syscalls\":[{"
		    "\"names\":[\"dup\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}"),
		NULL, &h);
	CHECK(h.flags == (8 | 4));
}

TEST(what_an_agent_gets)
{
	struct oci_pair pair = { "a", "b" };
	const struct runtime_state s = { .id = "c",
					 .bundle = "/b",
					 .oci_version = "1.3.0",
					 .pid = 7,
					 .status = RUNTIME_RUNNING,
					 .annotations = { &pair, 1 } };
	AUTO_STR struct str out = STR_INIT(4096);

	seccomp_notify_json("m", &s, 9, &out);
	CHECK_STR(str_c(&out),
		  "{\"ociVersion\":\"1.3.0\",\"fds\":[\"seccompFd\"],\"pid\":9,\"metadata\":\"m\","
		  "\"state\":{\"ociVersion\":\"1.3.0\",\"id\":\"c\",\"status\":\"running\","
		  "\"pid\":7,\"bundle\":\"/b\",\"annotations\":{\"a\":\"b\"}}}");
}

/* A file that was tampered with, or is not ours alone, is not taken. */
TEST(cache)
{
	static const char text[] =
		DOC("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" ALLOW_EXIT "]}");
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_SECCOMP_FILTER struct seccomp_filter f = { 0 }, g = { 0 }, h = { 0 };
	char top[] = "/tmp/seccomp-test-XXXXXX", key[SECCOMP_KEY + 1];
	struct stat st;

	CHECK(mkdtemp(top));
	char *dir = arena_printf(a, "%s/cache", top);
	compile(a, text, dir, &f);
	seccomp_cache_key(profile(a, text), key);
	char *file = arena_printf(a, "%s/%s", dir, key);
	CHECK(stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700);
	CHECK(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(seccomp_cache_get(dir, key, &g) == 0 && g.n == f.n);
	CHECK(memcmp(g.insns, f.insns, f.n * sizeof *f.insns) == 0);
	compile(a, text, dir, &h);
	CHECK(h.n == f.n && h.flags == f.flags);
	seccomp_filter_done(&g);

	CHECK(chmod(file, 0644) == 0 && seccomp_cache_get(dir, key, &g) == -EPERM);
	CHECK(chmod(file, 0600) == 0 && chmod(dir, 0755) == 0);
	CHECK(seccomp_cache_get(dir, key, &g) == -EPERM && chmod(dir, 0700) == 0);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && pwrite(fd, "x", 1, 100) == 1 && close(fd) == 0);
	CHECK(seccomp_cache_get(dir, key, &g) == -EINVAL);
	CHECK(truncate(file, 10) == 0 && seccomp_cache_get(dir, key, &g) == -EINVAL);
	CHECK(unlink(file) == 0 && symlink("/etc/passwd", file) == 0);
	CHECK(seccomp_cache_get(dir, key, &g) == -ELOOP);
	CHECK(unlink(file) == 0 && rmdir(dir) == 0 && rmdir(top) == 0);
}
