/* The command lines of other runtimes, their errors, and calls to a runtime that is a script. */
#include "shim/oci_priv.h"

#include "base/test.h"
#include "loop/loop.h"
#include "os/file.h"
#include "shim/exit_file.h"
#include "shim/reaper.h"

#include <fcntl.h>
#include <sys/stat.h>

struct stage {
	char dir[32], binary[64], log[64];
	struct oci_runtime rt;
};

static void stage_init(struct stage *s, const char *script)
{
	*s = (struct stage){ .dir = "/tmp/shim-oci-XXXXXX" };
	CHECK(mkdtemp(s->dir));
	snprintf(s->binary, sizeof s->binary, "%s/runtime", s->dir);
	snprintf(s->log, sizeof s->log, "%s/log.json", s->dir);
	CHECK(file_replace(AT_FDCWD, s->binary, script, strlen(script), 0700, false) == 0);
	s->rt = (struct oci_runtime){ .binary = s->binary, .root = (char *)"/r/ns", .log = s->log };
}

static void stage_done(struct stage *s)
{
	CHECK(file_remove_tree(AT_FDCWD, s->dir) == 0);
}

static void line(const struct oci_runtime *rt, const struct oci_request *q, struct str *out)
{
	AUTO_STRV struct strv argv = { 0 }, files = { 0 };
	struct err e = { 0 };

	CHECK_OK(oci_command(rt, q, q->terminal ? "/tmp/c.sock" : NULL, &argv, &files, &e), &e);
	for (size_t i = 0; i < argv.n; i++) {
		bool is_file = files.n && !strcmp(files.v[0], argv.v[i]);

		str_addf(out, "%s%s", i ? " " : "", is_file ? "FILE" : argv.v[i]);
	}
	for (size_t i = 0; i < files.n; i++) {
		AUTO_FREE char *text = NULL;

		CHECK(file_read(AT_FDCWD, files.v[i], 4096, &text, NULL) == 0);
		str_addf(out, " <%s>", text);
		unlink(files.v[i]);
	}
}

TEST(command_lines)
{
	static const char *const empty[] = { "network" };
	static const struct oci_criu dump = {
		.image = "/i",
		.work = "/w",
		.parent = "",
		.cgroups_mode = "soft",
		.leave_running = true,
		.file_locks = true,
		.empty_namespaces = empty,
		.n_empty_namespaces = 1,
	};
	static const struct oci_criu restore = {
		.image = "/i", .work = "/w", .parent = "", .cgroups_mode = ""
	};
	static const struct {
		struct oci_request q;
		const char *want;
	} rows[] = {
		{ { .verb = OCI_CREATE,
		    .pid_file = "/b/init.pid",
		    .terminal = true,
		    .no_pivot_root = true,
		    .no_new_keyring = true },
		  "create --bundle /tmp --pid-file /b/init.pid --console-socket /tmp/c.sock "
		  "--no-pivot --no-new-keyring c1" },
		{ { .verb = OCI_START }, "start c1" },
		{ { .verb = OCI_KILL, .sig = 9, .all = true }, "kill --all c1 9" },
		{ { .verb = OCI_DELETE, .force = true }, "delete --force c1" },
		{ { .verb = OCI_PAUSE }, "pause c1" },
		{ { .verb = OCI_EXEC,
		    .pid_file = "/b/e.pid",
		    .terminal = true,
		    .json = "{\"cwd\":\"/\",\"terminal\":false}",
		    .json_len = 28 },
		  "exec --process FILE --detach --pid-file /b/e.pid --console-socket /tmp/c.sock "
		  "c1 "
		  "<{\"cwd\":\"\\/\",\"terminal\":true}>" },
		{ { .verb = OCI_UPDATE, .json = "{}", .json_len = 2 },
		  "update --resources FILE c1 <{}>" },
		{ { .verb = OCI_CHECKPOINT, .criu = &dump },
		  "checkpoint --image-path /i --work-path /w --manage-cgroups-mode soft "
		  "--leave-running --file-locks --empty-ns network c1" },
		{ { .verb = OCI_RESTORE,
		    .pid_file = "/b/init.pid",
		    .terminal = true,
		    .no_pivot_root = true,
		    .criu = &restore },
		  "restore --bundle /tmp --detach --no-subreaper --pid-file /b/init.pid "
		  "--console-socket /tmp/c.sock --no-pivot --image-path /i --work-path /w c1" },
	};
	struct oci_runtime rt = { .binary = (char *)"/bin/rt",
				  .root = (char *)"/r/ns",
				  .log = (char *)"/b/log.json" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STR struct str out = STR_INIT(4096), want = STR_INIT(4096);
		struct oci_request q = rows[i].q;

		q.id = "c1";
		q.bundle = "/tmp";
		line(&rt, &q, &out);
		str_addf(&want, "/bin/rt --root /r/ns --log /b/log.json --log-format json %s",
			 rows[i].want);
		CHECK_STR(str_c(&out), str_c(&want));
	}
}

struct end {
	struct loop *loop;
	bool is_done;
	pid_t pid;
	struct err e;
};

static void done(const struct err *e, pid_t pid, int console, void *arg)
{
	struct end *x = arg;

	x->is_done = true;
	x->pid = pid;
	if (e)
		x->e = *e;
	CHECK(console == -1);
	loop_stop(x->loop);
}

static struct end call(struct stage *s, struct oci_request q)
{
	struct end x = { .loop = loop_new() };
	struct reaper *r = reaper_new(x.loop);

	q.id = "c1";
	q.bundle = s->dir;
	oci_call(x.loop, r, &s->rt, &q, done, &x);
	CHECK(!x.is_done);
	loop_run(x.loop);
	loop_free(x.loop);
	reaper_free(r);
	return x;
}

TEST(a_runtime_that_creates)
{
	struct stage s;
	char pid_file[64];

	stage_init(&s, "#!/bin/sh\nwhile [ \"$1\" != --pid-file ]; do shift; done\n"
		       "printf 4711 >\"$2\"\n");
	snprintf(pid_file, sizeof pid_file, "%s/init.pid", s.dir);
	struct end x = call(&s, (struct oci_request){ .verb = OCI_CREATE, .pid_file = pid_file });
	CHECK(!x.e.code && x.pid == 4711);
	stage_done(&s);
}

TEST(what_failed_is_in_its_log)
{
	struct stage s;
	static const char old[] = "{\"level\":\"error\",\"msg\":\"of yesterday\"}\n";

	stage_init(&s, "#!/bin/sh\nwhile [ \"$1\" != --log ]; do shift; done\n"
		       "echo 'no json' >>\"$2\"\n"
		       "echo '{\"level\":\"error\",\"msg\":\"container not running\"}' >>\"$2\"\n"
		       "echo '{\"level\":\"warning\",\"msg\":\"after\"}' >>\"$2\"\nexit 1\n");
	CHECK(file_replace(AT_FDCWD, s.log, old, sizeof old - 1, 0600, false) == 0);
	struct end x = call(&s, (struct oci_request){ .verb = OCI_START });
	CHECK(x.e.code == ERR_UNKNOWN);
	CHECK_STR(x.e.msg, "OCI runtime start failed: container not running");
	x = call(&s, (struct oci_request){ .verb = OCI_KILL, .sig = 9 });
	CHECK(x.e.code == ERR_NOT_FOUND);
	CHECK_STR(x.e.msg, "process already finished");
	stage_done(&s);
	stage_init(&s, "#!/bin/sh\nexit 3\n");
	x = call(&s, (struct oci_request){ .verb = OCI_PAUSE });
	CHECK_STR(x.e.msg, "OCI runtime pause failed: runtime did not terminate successfully: "
			   "exit status 3");
	stage_done(&s);
}

TEST(a_runtime_that_is_not_there)
{
	struct stage s;

	stage_init(&s, "");
	s.rt.binary = (char *)"/nonexistent/runtime";
	struct end x = call(&s, (struct oci_request){ .verb = OCI_START });
	CHECK_STR(x.e.msg, "OCI runtime start failed: exec: \"/nonexistent/runtime\": "
			   "no such file or directory");
	stage_done(&s);
}

TEST(exit_files)
{
	struct stage s;
	struct err e = { 0 };
	struct exit_record x = { 42, 137, { 1795466107, 788138026 } }, back;

	stage_init(&s, "");
	AUTO_FD int fd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_FAIL(exit_file_read(fd, &back, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);
	CHECK_OK(exit_file_write(fd, &x, &e), &e);
	CHECK_OK(exit_file_read(fd, &back, &e), &e);
	CHECK(back.pid == 42 && back.status == 137 && back.at.tv_sec == 1795466107 &&
	      back.at.tv_nsec == 788138026);
	CHECK(file_replace(fd, "exit.json", "{\"pid\":-1}", 10, 0600, false) == 0);
	CHECK(exit_file_read(fd, &back, &e) < 0);
	stage_done(&s);
}
