#include "os/steps.h"

#include "base/test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(none_costs_nothing)
{
	struct step v[STEPS_MAX];

	steps_begin(NULL, STEPS_SHIM, "x");
	steps_end(NULL, STEPS_SHIM);
	CHECK(steps_read(NULL, v) == 0);
	steps_free(NULL);
}

TEST(a_killed_writer_leaves_what_it_was_at)
{
	struct steps *s = steps_new();
	struct step v[STEPS_MAX];
	int status;

	CHECK(s);
	steps_begin(s, STEPS_SHIM, "wait");
	pid_t pid = fork();
	if (pid == 0) {
		steps_begin(s, STEPS_RUNTIME, "plan");
		steps_begin(s, STEPS_RUNTIME, "hook a|b;c\n");
		(void)kill(getpid(), SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(steps_read(s, v) == 3);
	CHECK(v[0].who == STEPS_SHIM && !v[0].end);
	CHECK_STR(v[1].name, "plan");
	CHECK(v[1].who == STEPS_RUNTIME && v[1].end >= v[1].begin);
	CHECK_STR(v[2].name, "hook a?b?c?");
	CHECK(v[2].begin == v[1].end && !v[2].end);
	steps_end(s, STEPS_SHIM);
	CHECK(steps_read(s, v) == 3 && v[0].end);
	steps_free(s);
}

TEST(more_than_fit_and_long_names)
{
	struct steps *s = steps_new();
	struct step v[STEPS_MAX];
	char name[200];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	for (int i = 0; i < 3 * STEPS_MAX; i++)
		steps_begin(s, STEPS_INIT, name);
	CHECK(steps_read(s, v) == STEPS_MAX);
	CHECK(strlen(v[STEPS_MAX - 1].name) == STEPS_NAME - 1);
	CHECK(v[STEPS_MAX - 1].end);
	steps_free(s);
}

/* Whatever is written there by others: read within bounds. */
TEST(rubbish)
{
	struct steps *s = steps_new();
	struct step v[STEPS_MAX];

	memset((void *)s, 0xff, 4096);
	CHECK(steps_read(s, v) == STEPS_MAX);
	CHECK(v[7].who == STEPS_RUNTIME && strlen(v[7].name) == STEPS_NAME - 1);
	steps_free(s);
}
