#include "nri/blockio.h"

#include "base/mem.h"
#include "base/test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int load(const char *text, struct blockio **ret, struct strv *warnings, struct err *e)
{
	char path[] = "/tmp/casco-blockio-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	int r = blockio_load(path, ret, warnings, e);

	unlink(path);
	return r;
}

static const char *class_of(struct arena *a, const struct blockio *b, const char *name)
{
	AUTO_JSON json_object *o = NULL;
	struct err e = { 0 };

	CHECK_OK(blockio_class(b, name, &o, &e), &e);
	return arena_strdup(a, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

TEST(weights_of_all_devices)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STRV struct strv warnings = { 0 };
	AUTO_BLOCKIO struct blockio *b = NULL;
	struct err e = { 0 };
	json_object *o;

	CHECK_OK(load("Classes:\n  a:\n  - Weight: 80\n  b:\n  - weight: '0.5k'\n  c: []\n", &b,
		      &warnings, &e),
		 &e);
	CHECK_STR(class_of(a, b, "a"), "{\"weight\":80}");
	CHECK_STR(class_of(a, b, "b"), "{\"weight\":500}");
	CHECK_STR(class_of(a, b, "c"), "{}");
	CHECK(warnings.n == 0);
	CHECK_FAIL(blockio_class(b, "d", &o, &e), &e, ERR_NOT_FOUND);
	CHECK_STR(e.msg, "no OCI BlockIO parameters for class \"d\"");
	err_clear(&e);
	CHECK_FAIL(blockio_class(NULL, "a", &o, &e), &e, ERR_NOT_FOUND);
}

/* json-c has no lock: what threads share must not be in anybody's document. */
TEST(each_caller_has_a_copy)
{
	AUTO_STRV struct strv warnings = { 0 };
	AUTO_BLOCKIO struct blockio *b = NULL;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *mine = NULL;
	struct err e = { 0 };

	CHECK_OK(load("Classes:\n  a:\n  - Weight: 80\n", &b, &warnings, &e), &e);
	CHECK_OK(blockio_class(b, "a", &mine, &e), &e);
	json_object_object_del(mine, "weight");
	json_object_object_add(mine, "leafWeight", json_object_new_int(1));
	CHECK_STR(class_of(a, b, "a"), "{\"weight\":80}");
}

/* A whole block device of this machine, or 0. */
static dev_t any_device(char *path, size_t n)
{
	DIR *dir = opendir("/dev");
	struct dirent *d;
	dev_t found = 0;

	while (dir && !found && (d = readdir(dir))) {
		char partition[64];
		struct stat st;

		snprintf(path, n, "/dev/%.50s", d->d_name);
		if (lstat(path, &st) < 0 || !S_ISBLK(st.st_mode))
			continue;
		snprintf(partition, sizeof partition, "/sys/dev/block/%u:%u/partition",
			 major(st.st_rdev), minor(st.st_rdev));
		found = access(partition, F_OK) < 0 ? st.st_rdev : 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

TEST(limits_of_a_device)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STRV struct strv warnings = { 0 };
	AUTO_BLOCKIO struct blockio *b = NULL;
	struct err e = { 0 };
	char path[64], text[512], want[256];
	dev_t dev = any_device(path, sizeof path);

	if (!dev)
		SKIP("no block device here");
	snprintf(text, sizeof text,
		 "Classes:\n  slow:\n  - Weight: 70\n  - Devices: [%s, /dev/null, "
		 "/dev/no-such-*]\n    ThrottleReadBps: 50M\n"
		 "    ThrottleWriteIOPS: 5k\n  - Devices: [%.*s?]\n    ThrottleReadBps: 1Mi\n",
		 path, (int)strlen(path) - 1, path);
	CHECK_OK(load(text, &b, &warnings, &e), &e);
	snprintf(want, sizeof want, "{\"major\":%u,\"minor\":%u,\"rate\":1048576}", major(dev),
		 minor(dev));
	CHECK(strstr(class_of(a, b, "slow"), want)); /* the later line's */
	snprintf(want, sizeof want,
		 "\"throttleWriteIOPSDevice\":[{\"major\":%u,\"minor\":%u,\"rate\":5000}]",
		 major(dev), minor(dev));
	CHECK(strstr(class_of(a, b, "slow"), want));
	CHECK(!strstr(class_of(a, b, "slow"), "50000000") || strstr(class_of(a, b, "slow"), "},{"));
	CHECK(strstr(class_of(a, b, "slow"), "\"weight\":70"));
	CHECK(strv_has(&warnings, "file \"/dev/null\" is no block device"));
	CHECK(strv_has(&warnings,
		       "device wildcard \"/dev/no-such-*\" does not match any device nodes"));
}

TEST(what_cannot_be)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "Classes:\n  a:\n  - Weight: 9\n",
		  "class \"a\": value of \"Weight\" (9) smaller than minimum (10)" },
		{ "Classes:\n  a:\n  - Weight: 1001\n",
		  "value of \"Weight\" (1001) bigger than maximum (1000)" },
		{ "Classes:\n  a:\n  - Weight: 5 M\n", "syntax error in \"Weight\" (\"5 M\")" },
		{ "Classes:\n  a:\n  - ThrottleReadBps: 5\n", "ThrottleReadBps without Devices" },
		{ "Classes:\n  a:\n  - Devices: [x]\n    ThrottleReadBps: -5\n",
		  "(-5) smaller than minimum (0)" },
		{ "Classes:\n  a: 5\n", "class \"a\": a class is no list" },
		{ "Classes: [a]\n", "Classes is no map" },
		{ "Classes: {\n", "yaml: line 2: " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STRV struct strv warnings = { 0 };
		AUTO_BLOCKIO struct blockio *b = NULL;
		struct err e = { 0 };

		CHECK_FAIL(load(rows[i].text, &b, &warnings, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK(strstr(e.msg, "failed to set configuration from file \"/tmp/casco-blockio-"));
		if (!strstr(e.msg, rows[i].why))
			FAIL_("case %zu: %s", i, e.msg);
	}
	struct blockio *b;
	struct strv warnings = { 0 };
	struct err e = { 0 };

	CHECK(blockio_load("/no/such/file", &b, &warnings, &e) == -1);
	CHECK_STR(e.msg, "failed to read config file \"/no/such/file\": open /no/such/file: no "
			 "such file or directory");
}
