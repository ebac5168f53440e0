/* A log in its folder: lines, tags, rotation, a disk without room. */
#include "shim/log_driver.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "os/fd.h"
#include "os/file.h"
#include "shim/log_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BIG = 3 * PLOG_LINE_MAX - 1000 };

static char dir[64];

static struct plog *open_with(const char *query)
{
	AUTO_FREE char *uri = NULL;
	struct plog_options o;
	struct err e = { 0 };
	struct plog *g = NULL;

	if (!*dir) {
		snprintf(dir, sizeof dir, "/tmp/casco-log-XXXXXX");
		CHECK(mkdtemp(dir));
	}
	uri = xasprintf(PLOG_SCHEME "%s?%s", dir, query);
	CHECK(plog_options_parse(uri, &o, &e) == 0);
	CHECK(plog_open(NULL, &o, &g, &e) == 0);
	return g;
}

static void clean(void)
{
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
	*dir = 0;
}

static char *content(const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	char *text = NULL;

	return file_read(AT_FDCWD, path, 1 << 20, &text, NULL) < 0 ? xstrdup("(none)") : text;
}

/* The records without their times. */
static char *records(const char *name)
{
	AUTO_FREE char *text = content(name);
	AUTO_STR struct str out = STR_INIT(1 << 20);
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) && *line) {
		const char *blank = strchr(line, ' ');

		str_addf(&out, "%s\n", blank ? blank + 1 : "?");
	}
	return str_take(&out);
}

TEST(cri_lines_and_parts)
{
	struct plog *g = open_with("format=cri");
	char *text, *big = xcalloc(1, BIG);

	plog_write(g, PLOG_STDOUT, "one\ntw", 6);
	plog_write(g, PLOG_STDERR, "\xff\n", 2);
	plog_write(g, PLOG_STDOUT, "o\n\nlast", 7);
	plog_flush(g, PLOG_STDOUT);
	plog_close(g);
	text = records(LOG_FILE_NAME);
	CHECK_STR(text, "stdout F one\nstderr F \xff\nstdout F two\nstdout F \nstdout P last\n");
	free(text);
	clean();

	g = open_with("");
	memset(big, 'x', BIG);
	big[BIG - 1] = '\n';
	plog_write(g, PLOG_STDOUT, big, BIG);
	plog_close(g);
	text = records(LOG_FILE_NAME);
	/* two parts of the maximum and the rest */
	CHECK(strlen(text) == BIG - 1 + 3 * strlen("stdout P \n"));
	CHECK(str_starts(text, "stdout P xxx") && strstr(text, "\nstdout F xx"));
	free(text);
	free(big);
	clean();
}

TEST(json_keeps_every_byte_that_json_can)
{
	struct plog *g = open_with("format=json");
	char *text;

	plog_write(g, PLOG_STDERR, "a\"b\0c\n\x01", 7);
	plog_flush(g, PLOG_STDERR);
	plog_close(g);
	text = content(LOG_FILE_NAME);
	CHECK(str_starts(text,
			 "{\"log\":\"a\\\"b\\u0000c\\n\",\"stream\":\"stderr\",\"time\":\"20"));
	CHECK(strstr(text, "\n{\"log\":\"\\u0001\",\"stream\":\"stderr\","));
	free(text);
	clean();
}

TEST(rotation_keeps_whole_lines_and_few_files)
{
	struct plog *g = open_with("max-size=4k&max-file=3");
	char line[32], *text;
	size_t total = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof line, "line %04d\n", i);
		plog_write(g, PLOG_STDOUT, line, 10);
	}
	plog_close(g);
	/* a record has some 50 bytes, a file some 80 of them: a dozen files were made, three stay
	 */
	text = content(LOG_FILE_NAME ".000001");
	CHECK_STR(text, "(none)");
	free(text);
	for (int n = 2, seen = 0; n < 100; n++) {
		AUTO_FREE char *name = xasprintf(LOG_FILE_NAME ".%06d", n);

		text = content(name);
		if (strcmp(text, "(none)") != 0) {
			total += strlen(text);
			seen++;
			CHECK(strlen(text) <= 4096 && str_ends(text, "\n"));
		}
		free(text);
		if (n == 99)
			CHECK(seen == 2);
	}
	text = content(LOG_FILE_NAME);
	CHECK(strstr(text, "stdout F line 0999\n"));
	CHECK(total + strlen(text) <= 3 * 4096);
	free(text);

	/* the next one goes on where this one stopped */
	g = open_with("max-size=4k&max-file=1");
	memset(line, 'y', sizeof line);
	for (int i = 0; i < 400; i++)
		plog_write(g, PLOG_STDOUT, line, sizeof line);
	plog_close(g);
	clean();
}

TEST(a_disk_without_room_costs_bytes_and_nothing_else)
{
	struct plog *g = open_with("max-size=1m");
	struct rlimit before, small = { 100, 100 };
	char *text;

	signal(SIGXFSZ, SIG_IGN); /* a limit of a file's size stands for the disk's end */
	CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
	small.rlim_max = before.rlim_max;
	plog_write(g, PLOG_STDOUT, "kept\n", 5);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	plog_write(g, PLOG_STDOUT, "a line that has no room any more, so that it goes as a whole\n",
		   61);
	CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
	plog_write(g, PLOG_STDOUT, "after\n", 6);
	plog_close(g);
	text = records(LOG_FILE_NAME);
	CHECK(str_starts(text, "stdout F kept\nstderr F ["));
	CHECK(strstr(text, "bytes of this log could not be written]\nstdout F after\n"));
	CHECK(!strstr(text, "no room"));
	free(text);
	clean();
}

TEST(a_file_that_was_taken_away_is_made_anew)
{
	struct plog *g = open_with("");
	char *text;

	AUTO_FREE char *from = xasprintf("%s/" LOG_FILE_NAME, dir);
	AUTO_FREE char *to = xasprintf("%s/mine", dir);

	plog_write(g, PLOG_STDOUT, "old\n", 4);
	CHECK(rename(from, to) == 0);
	usleep(1100000);
	plog_write(g, PLOG_STDOUT, "new\n", 4);
	plog_close(g);
	text = records(LOG_FILE_NAME);
	CHECK_STR(text, "stdout F new\n");
	free(text);
	clean();
}

/* A pod may have the folder of logs as a volume. */
TEST(nothing_is_followed_out_of_the_folder)
{
	static const char query[] = "format=cri&below=pod/box&file=0.log";
	struct plog *g = open_with(query);
	AUTO_FREE char *pod = xasprintf("%s/pod", dir), *box = xasprintf("%s/pod/box", dir);
	AUTO_FREE char *file = xasprintf("%s/pod/box/0.log", dir), *text = NULL;
	AUTO_FREE char *uri = xasprintf(PLOG_SCHEME "%s?%s", dir, query);
	AUTO_FREE char *out = xasprintf(PLOG_SCHEME "%s?below=../x&file=0.log", dir);
	const char *const bad[] = { uri, out };
	struct err e = { 0 };

	plog_write(g, PLOG_STDOUT, "one\n", 4);
	plog_close(g);
	text = records("pod/box/0.log");
	CHECK_STR(text, "stdout F one\n");
	CHECK(unlink(file) == 0);

	CHECK(mkfifo(file, 0600) == 0);
	AUTO_FD int reader = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	CHECK(reader >= 0);
	struct plog_options o;
	CHECK_OK(plog_options_parse(uri, &o, &e), &e);
	CHECK(plog_open(NULL, &o, &g, &e) < 0);
	CHECK(strstr(e.msg, "0.log: invalid argument"));
	CHECK(unlink(file) == 0 && rmdir(box) == 0 && symlink("/tmp", box) == 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err_clear(&e);
		CHECK_OK(plog_options_parse(bad[i], &o, &e), &e);
		CHECK(plog_open(NULL, &o, &g, &e) < 0);
		CHECK(strstr(e.msg, i ? "invalid argument" : "pod/box: not a directory"));
	}
	CHECK(unlink(box) == 0 && rmdir(pod) == 0 && symlink("/tmp", pod) == 0);
	err_clear(&e);
	CHECK_OK(plog_options_parse(uri, &o, &e), &e);
	CHECK(plog_open(NULL, &o, &g, &e) < 0);
	clean();
}

TEST(addresses)
{
	static const char *const bad[] = {
		"rel?a=b",           "/d?format=xml", "/d?max-size=1",        "/d?max-file=0",
		"/d?compress=maybe", "/d?nonsense=1", "/d?attach-stdout=rel", "/d?max-size"
	};
	struct plog_options o;
	struct err e = { 0 };

	CHECK(plog_options_parse(PLOG_SCHEME "/a%20b?format=json&max-size=1m&max-file=7&compress="
					     "true&attach-stdout=%2Ff%2Fo&attach-stderr=/f/e",
				 &o, &e) == 0);
	CHECK_STR(o.dir, "/a b");
	CHECK(o.format == PLOG_FORMAT_JSON && o.max_size == 1 << 20 && o.max_files == 7 &&
	      o.compress);
	CHECK_STR(o.fifo[0], "/f/o");
	CHECK_STR(o.fifo[1], "/f/e");
	plog_options_done(&o);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_FREE char *uri = xasprintf(PLOG_SCHEME "%s", bad[i]);

		err_clear(&e);
		CHECK(plog_options_parse(uri, &o, &e) < 0 && e.code == ERR_INVALID_ARGUMENT);
	}
}
