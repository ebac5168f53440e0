#include "runtime/stage.h"

#include "base/test.h"

#include <unistd.h>

static void pair(int ret[2])
{
	struct err e = { 0 };

	CHECK_OK(stage_pair(ret, &e), &e);
}

/* The kernel tells of what the child left unread before it hands out what the child said. */
TEST(the_reason_of_a_child_that_left_our_message_unread)
{
	struct err e = { 0 }, why = { 0 };
	enum stage step = STAGE_END;
	int ends[2];

	pair(ends);
	CHECK_OK(stage_send(ends[0], STAGE_START, -1, &e), &e);
	(void)err_set(&why, ERR_INVALID_ARGUMENT, "the reason");
	stage_send_failed(ends[1], &why);
	close(ends[1]);
	CHECK(stage_recv(ends[0], &step, NULL, &e) == -1);
	CHECK_STR(e.msg, "the reason");
	CHECK(e.code == ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_OK(stage_recv(ends[0], &step, NULL, &e), &e);
	CHECK(step == STAGE_END);
	close(ends[0]);
}

TEST(a_child_that_ends_without_a_word)
{
	struct err e = { 0 };
	enum stage step = STAGE_READY;
	int ends[2];

	pair(ends);
	CHECK_OK(stage_send(ends[0], STAGE_START, -1, &e), &e);
	close(ends[1]);
	CHECK_OK(stage_recv(ends[0], &step, NULL, &e), &e);
	CHECK(step == STAGE_END);
	close(ends[0]);
}

TEST(what_is_no_message)
{
	struct err e = { 0 };
	enum stage step;
	int ends[2];

	pair(ends);
	CHECK(write(ends[1], "x", 1) == 1);
	CHECK(stage_recv(ends[0], &step, NULL, &e) == -1);
	err_clear(&e);
	/* a console is announced with its descriptor only */
	CHECK_OK(stage_send(ends[1], STAGE_CONSOLE, -1, &e), &e);
	CHECK(stage_recv(ends[0], &step, NULL, &e) == -1);
	err_clear(&e);
	CHECK_OK(stage_send(ends[1], STAGE_READY, ends[1], &e), &e);
	CHECK(stage_recv(ends[0], &step, NULL, &e) == -1);
	err_clear(&e);
	/* nor the copy of a mount without the copy */
	CHECK_OK(stage_send(ends[1], STAGE_OWNERS, -1, &e), &e);
	CHECK(stage_recv(ends[0], &step, NULL, &e) == -1);
	close(ends[0]);
	close(ends[1]);
}
