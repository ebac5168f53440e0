#include "base/test.h"

#include <ctype.h>
#include <errno.h>

TEST(err_sys_speaks_go)
{
	struct err e = { 0 };

	CHECK(err_sys(&e, ENOENT, "open %s", "/x") == -1);
	CHECK_STR(e.msg, "open /x: no such file or directory");
	CHECK(e.code == ERR_UNKNOWN && e.errnum == ENOENT);
	err_wrap(&e, "load %s", "id");
	CHECK_STR(e.msg, "load id: open /x: no such file or directory");
}

/* Only glibc says all of its texts: where the tests are built against another libc, this one is
 * not. */
#ifdef __GLIBC__
TEST(err_errno_text_knows_every_error)
{
	for (int n = 1; n < 256; n++) {
		const char *libc = strerrordesc_np(n), *ours = err_errno_text(n);

		if (!libc) {
			CHECK_STR(ours, "unknown error");
			continue;
		}
		CHECK(ours[0] == libc[0] || ours[0] == tolower(libc[0]));
		CHECK_STR(ours + 1, libc + 1);
	}
}
#endif

TEST(err_text_adds_the_class_once)
{
	char buf[64];
	static const struct {
		enum err_code code;
		const char *msg, *want;
	} rows[] = {
		{ ERR_NOT_FOUND, "image \"x\"", "image \"x\": not found" },
		{ ERR_NOT_FOUND, "task x not found", "task x not found" },
		{ ERR_UNKNOWN, "cannot delete", "cannot delete" },
		{ ERR_FAILED_PRECONDITION, "x: conflict", "x: conflict" },
		{ ERR_FAILED_PRECONDITION, "x", "x: failed precondition" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		err_set(&e, rows[i].code, "%s", rows[i].msg);
		CHECK_STR(err_text(&e, buf, sizeof buf), rows[i].want);
	}
}

TEST(err_keeps_long_sentences_terminated)
{
	struct err e = { 0 };
	char longer[3000];

	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	err_set(&e, ERR_INTERNAL, "%s", longer);
	err_wrap(&e, "%s", longer);
	CHECK(strlen(e.msg) == sizeof e.msg - 1);
}

TEST(class_names_are_gos)
{
	CHECK_STR(err_class_name(ERR_OK), "OK");
	CHECK_STR(err_class_name(ERR_NOT_FOUND), "NotFound");
	CHECK_STR(err_class_name(ERR_UNAUTHENTICATED), "Unauthenticated");
	CHECK_STR(err_class_name(ERR_UNAUTHENTICATED + 1), "Unknown");
	CHECK_STR(err_class_name(-1), "Unknown");
}
