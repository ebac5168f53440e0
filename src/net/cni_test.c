/* The verbs, with plugins that are shell scripts: each writes what it was asked into a log. */
#include "net/cni.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* A plugin's answer is what its configuration says for the command. */
#define PLUGIN                                                                                    \
	"#!/bin/sh\n"                                                                             \
	"in=$(cat)\n"                                                                             \
	"echo \"$CNI_COMMAND ${0##*/} $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS $in\""    \
	" >> ${0%/*}/log\n"                                                                       \
	"if [ $CNI_COMMAND = ADD ]; then echo '{\"cniVersion\":\"1.1.0\",\"ips\":[],\"from\":\"'" \
	"${0##*/}'\"}'; fi\n"                                                                     \
	"if [ $CNI_COMMAND = VERSION ]; then echo "                                               \
	"'{\"cniVersion\":\"1.1.0\",\"supportedVersions\""                                        \
	":[\"1.0.0\",\"1.1.0\"]}'; fi\n"                                                          \
	"exit 0\n"

struct world {
	char dir[32];
	char *bin, *cache;
	const char *dirs[3];
	struct cni_env env;
	struct cni_net *net;
};

static void program(const struct world *w, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", w->bin, name);

	CHECK(file_replace(AT_FDCWD, path, text, strlen(text), 0755, false) == 0);
}

static void world_init(struct world *w, const char *list)
{
	struct err e = { 0 };

	*w = (struct world){ .dir = "/tmp/casco-cni-test-XXXXXX" };
	CHECK(mkdtemp(w->dir));
	w->bin = xasprintf("%s/bin", w->dir);
	w->cache = xasprintf("%s/cache", w->dir);
	CHECK(file_mkdirs(w->bin, 0700) >= 0);
	program(w, "one", PLUGIN);
	program(w, "two", PLUGIN);
	w->dirs[0] = "/nowhere";
	w->dirs[1] = w->bin;
	w->env = (struct cni_env){ .cache_dir = w->cache,
				   .bin_dirs = w->dirs,
				   .timeout = 20000000000 };
	CHECK_OK(cni_net_parse(list, strlen(list), true, NULL, &w->net, &e), &e);
}

static void world_done(struct world *w)
{
	CHECK(file_remove_tree(AT_FDCWD, w->dir) == 0);
	cni_net_free(w->net);
	free(w->bin);
	free(w->cache);
}

/* What the plugins were asked since the last look. */
static char *take_log(const struct world *w)
{
	AUTO_FREE char *path = xasprintf("%s/log", w->bin);
	char *text = NULL;

	if (file_read(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
		return xstrdup("");
	CHECK(unlink(path) == 0);
	return text;
}

static bool is_cached(const struct world *w)
{
	AUTO_JSON json_object *doc = NULL;
	struct err e = { 0 };
	int r = cni_cache_read(&w->env, "n", "default-c", "eth0", &doc, &e);

	CHECK(r >= 0);
	return r;
}

#define LIST(version, two)                                                               \
	"{\"cniVersion\":\"" version "\",\"name\":\"n\",\"plugins\":[{\"type\":\"one\"," \
	"\"capabilities\":{\"mac\":true,\"ips\":false}},{\"type\":\"" two "\"}]}"
#define NAMED "\"name\":\"n\",\"cniVersion\":\"1.1.0\""
#define ONE "{\"type\":\"one\",\"capabilities\":{\"mac\":true,\"ips\":false}," NAMED
#define RESULT(type) "{\"cniVersion\":\"1.1.0\",\"ips\":[],\"from\":\"" type "\"}"

static const struct cni_attachment at = {
	.container = "default-c", .netns = "/ns", .ifname = "eth0", .args = "K=V"
};

TEST(add_check_delete)
{
	struct world w;
	struct cni_attachment wishes = at;
	AUTO_JSON json_object *result = NULL, *args = json_object_new_object();
	AUTO_FREE char *added = NULL, *checked = NULL, *deleted = NULL, *again = NULL;
	struct err e = { 0 };

	world_init(&w, LIST("1.1.0", "two"));
	json_object_object_add(args, "mac", json_object_new_string("02:00:00:00:00:01"));
	json_object_object_add(args, "ips", json_object_new_array());
	wishes.capability_args = args;
	CHECK_OK(cni_add(&w.env, w.net, &wishes, NULL, &result, &e), &e);
	CHECK_STR(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN), RESULT("two"));
	added = take_log(&w);
	CHECK_STR(added, "ADD one default-c eth0 /ns K=V " ONE
			 ",\"runtimeConfig\":{\"mac\":\"02:00:00:00:00:01\"}}\n"
			 "ADD two default-c eth0 /ns K=V {\"type\":\"two\"," NAMED
			 ",\"prevResult\":" RESULT("one") "}\n");
	CHECK(is_cached(&w));
	/* the wishes are the cached ones */
	CHECK_OK(cni_check(&w.env, w.net, &at, &e), &e);
	checked = take_log(&w);
	CHECK_STR(checked,
		  "CHECK one default-c eth0 /ns K=V " ONE
		  ",\"runtimeConfig\":{\"mac\":\"02:00:00:00:00:01\"},\"prevResult\":" RESULT(
			  "two") "}\nCHECK two default-c eth0 /ns K=V {\"type\":\"two\"," NAMED
				 ",\"prevResult\":" RESULT("two") "}\n");
	CHECK_OK(cni_del_cached(&w.env, "default-c", NULL, &e), &e);
	deleted = take_log(&w);
	CHECK_STR(deleted,
		  "DEL two default-c eth0   {\"type\":\"two\"," NAMED
		  ",\"prevResult\":" RESULT("two") "}\nDEL one default-c eth0   " ONE
						   ",\"runtimeConfig\":{\"mac\":\"02:00:00:00:00:"
						   "01\"},\"prevResult\":" RESULT("two") "}\n");
	CHECK(!is_cached(&w));
	/* once more does no harm, without a result */
	CHECK_OK(cni_del(&w.env, w.net, &at, &e), &e);
	again = take_log(&w);
	CHECK_STR(again, "DEL two default-c eth0 /ns K=V {\"type\":\"two\"," NAMED
			 "}\nDEL one default-c eth0 /ns K=V " ONE "}\n");
	CHECK_FAIL(cni_check(&w.env, w.net, &at, &e), &e, ERR_NOT_FOUND);
	world_done(&w);
}

/* The commands of the log, in order. */
static char *commands(const char *log)
{
	struct str s AUTO_STR = STR_INIT(4096);

	for (const char *p = log; *p; p = strchr(p, '\n') + 1) {
		size_t n = strcspn(p, " ");

		n += 1 + strcspn(p + n + 1, " ");
		str_addn(&s, p, n);
		str_addc(&s, ';');
	}
	return str_take(&s);
}

static void fails(const char *second, uint64_t timeout, enum err_code code, const char *part,
		  const char *want)
{
	struct world w;
	AUTO_JSON json_object *result = NULL;
	AUTO_FREE char *log = NULL, *what = NULL;
	struct err e = { 0 };

	world_init(&w, LIST("1.1.0", "two"));
	program(&w, "two", second);
	if (timeout)
		w.env.timeout = timeout;
	CHECK_FAIL(cni_add(&w.env, w.net, &at, NULL, &result, &e), &e, code);
	if (!strstr(e.msg, part) || strstr(e.msg, "plugin type=\"two\" failed (add): ") != e.msg ||
	    !strstr(e.msg, "/bin/two: "))
		FAIL_("%s", e.msg);
	log = take_log(&w);
	what = commands(log);
	CHECK_STR(what, want);
	CHECK(!is_cached(&w));
	world_done(&w);
}

TEST(a_failed_add_is_undone_in_reverse)
{
	fails("#!/bin/sh\ncat > /dev/null\necho \"$CNI_COMMAND two \" >> ${0%/*}/log\n"
	      "echo '{\"cniVersion\":\"1.0.0\",\"code\":7,\"msg\":\"no "
	      "address\",\"details\":\"range "
	      "x\"}'; exit 1\n",
	      0, ERR_UNKNOWN, ": no address; range x", "ADD one;ADD two;DEL two;DEL one;");
	fails("#!/bin/sh\necho broken pipe of mine >&2; exit 3\n", 0, ERR_UNKNOWN,
	      ": netplugin failed: \"broken pipe of mine\"", "ADD one;DEL one;");
	fails("#!/bin/sh\nexit 3\n", 0, ERR_UNKNOWN,
	      ": netplugin failed with no error message: \"exit status 3\"", "ADD one;DEL one;");
	fails("#!/bin/sh\necho oops; exit 1\n", 0, ERR_UNKNOWN,
	      "error parsing its diagnostic message \"oops\"", "ADD one;DEL one;");
	fails("#!/bin/sh\ncat >/dev/null\nhead -c 3000000 /dev/zero\n", 0, ERR_RESOURCE_EXHAUSTED,
	      "it wrote more than 1048576 bytes", "ADD one;DEL one;");
	fails("#!/bin/sh\nkill -9 $$\n", 0, ERR_UNKNOWN, "exit status 137", "ADD one;DEL one;");
}

TEST(results_that_are_none)
{
	static const char *const answers[] = { "", "echo '[]'", "echo '{'" };

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		AUTO_FREE char *text = xasprintf("#!/bin/sh\n%s\n", answers[i]);
		struct world w;
		AUTO_JSON json_object *result = NULL;
		struct err e = { 0 };

		world_init(&w, LIST("1.1.0", "two"));
		program(&w, "two", text);
		CHECK_FAIL(cni_add(&w.env, w.net, &at, NULL, &result, &e), &e,
			   ERR_INVALID_ARGUMENT);
		CHECK(!is_cached(&w));
		world_done(&w);
	}
}

static uint64_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

TEST(a_plugin_that_hangs)
{
	uint64_t from = seconds();

	/* its own child has the pipes too */
	fails("#!/bin/sh\nsleep 100 & sleep 100\n", 300000000, ERR_DEADLINE_EXCEEDED,
	      "it took too long", "ADD one;DEL one;");
	CHECK(seconds() - from < 50);
}

TEST(what_a_plugin_leaves_behind_is_not_waited_for)
{
	struct world w;
	AUTO_JSON json_object *result = NULL;
	struct err e = { 0 };
	uint64_t from = seconds();

	world_init(&w, LIST("1.1.0", "two"));
	program(&w, "two",
		"#!/bin/sh\nsleep 30 & echo $! > ${0%/*}/pid; head -c 1000000 /dev/zero "
		">&2; echo '{}'\n");
	CHECK_OK(cni_add(&w.env, w.net, &at, NULL, &result, &e), &e);
	CHECK(seconds() - from < 20);
	AUTO_FREE char *pid_path = xasprintf("%s/pid", w.bin), *pid = NULL;
	CHECK(file_read(AT_FDCWD, pid_path, 20, &pid, NULL) == 0);
	(void)kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
	world_done(&w);
}

static void *cancel_soon(void *arg)
{
	struct timespec t = { 0, 200000000 };

	nanosleep(&t, NULL);
	cancel_set(arg, ERR_CANCELLED);
	return NULL;
}

TEST(cancelled)
{
	struct world w;
	AUTO_JSON json_object *result = NULL;
	AUTO_FREE char *log = NULL, *what = NULL;
	struct err e = { 0 };
	struct cancel c;
	pthread_t t;

	world_init(&w, LIST("1.1.0", "two"));
	program(&w, "two", "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || exec sleep 100\n");
	cancel_init(&c);
	CHECK(pthread_create(&t, NULL, cancel_soon, &c) == 0);
	CHECK_FAIL(cni_add(&w.env, w.net, &at, &c, &result, &e), &e, ERR_CANCELLED);
	pthread_join(t, NULL);
	cancel_done(&c);
	log = take_log(&w);
	what = commands(log);
	CHECK_STR(what, "ADD one;DEL one;"); /* undone all the same */
	world_done(&w);
}

TEST(what_is_not_there_is_found_before_anything_is_done)
{
	static const char *const types[] = { "three", "../bin/one", "/bin/true", ".." };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		AUTO_FREE char *list =
			xasprintf("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":["
				  "{\"type\":\"one\"},{\"type\":\"%s\"}]}",
				  types[i]);
		struct world w;
		AUTO_JSON json_object *result = NULL;
		AUTO_FREE char *log = NULL;
		struct err e = { 0 };

		world_init(&w, list);
		CHECK(cni_add(&w.env, w.net, &at, NULL, &result, &e) < 0);
		CHECK(e.code == (i ? ERR_INVALID_ARGUMENT : ERR_NOT_FOUND));
		log = take_log(&w);
		CHECK_STR(log, "");
		world_done(&w);
	}
}

TEST(a_failed_delete_does_the_others)
{
	struct world w;
	AUTO_JSON json_object *result = NULL;
	AUTO_FREE char *log = NULL, *what = NULL;
	struct err e = { 0 };

	world_init(&w, LIST("1.1.0", "two"));
	CHECK_OK(cni_add(&w.env, w.net, &at, NULL, &result, &e), &e);
	program(&w, "two", "#!/bin/sh\nexit 1\n");
	CHECK_FAIL(cni_del(&w.env, w.net, &at, &e), &e, ERR_UNKNOWN);
	CHECK(strstr(e.msg, "plugin type=\"two\" failed (delete): ") == e.msg);
	log = take_log(&w);
	what = commands(log);
	CHECK_STR(what, "ADD one;ADD two;DEL one;");
	CHECK(is_cached(&w)); /* for the next try */
	world_done(&w);
}

TEST(status_gc_version)
{
	struct world w;
	struct cni_attachment other = at;
	AUTO_JSON json_object *a = NULL, *b = NULL, *version = NULL;
	AUTO_FREE char *status = NULL, *gc = NULL;
	struct err e = { 0 };

	world_init(&w, LIST("1.1.0", "two"));
	CHECK_OK(cni_status(&w.env, w.net, &e), &e);
	status = take_log(&w);
	CHECK_STR(status, "STATUS one     " ONE "}\nSTATUS two     {\"type\":\"two\"," NAMED "}\n");
	other.container = "default-old";
	CHECK_OK(cni_add(&w.env, w.net, &at, NULL, &a, &e), &e);
	CHECK_OK(cni_add(&w.env, w.net, &other, NULL, &b, &e), &e);
	free(take_log(&w));
	CHECK_OK(cni_gc(&w.env, w.net, &at, 1, &e), &e);
	gc = take_log(&w);
#define VALID "[{\"containerID\":\"default-c\",\"ifname\":\"eth0\"}]"
#define GC ",\"cni.dev/valid-attachments\":" VALID ",\"cni.dev/attachments\":" VALID "}\n"
	CHECK_STR(gc,
		  "DEL two default-old eth0   {\"type\":\"two\"," NAMED ",\"prevResult\":" RESULT(
			  "two") "}\nDEL one default-old eth0   " ONE
				 ",\"prevResult\":" RESULT(
					 "two") "}\nGC one     " ONE GC
						"GC two     {\"type\":\"two\"," NAMED GC);
	CHECK(is_cached(&w));
	CHECK_OK(cni_version(&w.env, "one", &version, &e), &e);
	CHECK_STR(json_object_to_json_string_ext(version, JSON_C_TO_STRING_PLAIN),
		  "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"1.0.0\",\"1.1.0\"]}");
	world_done(&w);
}

/* What a version does not have is not asked. */
TEST(older_networks)
{
	struct world w;
	AUTO_JSON json_object *result = NULL;
	AUTO_FREE char *log = NULL;
	struct err e = { 0 };

	world_init(&w, LIST("0.3.1", "two"));
	CHECK_OK(cni_add(&w.env, w.net, &at, NULL, &result, &e), &e);
	free(take_log(&w));
	CHECK_OK(cni_status(&w.env, w.net, &e), &e);
	CHECK_FAIL(cni_check(&w.env, w.net, &at, &e), &e, ERR_UNIMPLEMENTED);
	err_clear(&e);
	CHECK_OK(cni_del(&w.env, w.net, &at, &e), &e);
	log = take_log(&w);
	CHECK(strstr(log, "DEL two") == log && !strstr(log, "prevResult"));
	world_done(&w);
}
