#include "base/test.h"

#include <json-c/json.h>
#include <locale.h>
#include <signal.h>
#include <sys/wait.h>

/* As Debian's libraries call them; the compiler knows what they are for and would warn of it. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
int __snprintf_chk(char *ret, size_t n, int flag, size_t room, const char *fmt, ...);
char *__strcat_chk(char *to, const char *s, size_t room);

TEST(checked_calls_do_what_the_plain_ones_do)
{
	char buf[8] = "ab";

	CHECK_STR(__strcat_chk(buf, "cdefg", sizeof buf), "abcdefg");
	CHECK(__snprintf_chk(buf, sizeof buf, 1, sizeof buf, "%s-%d", "longer", 1) == 8);
	CHECK_STR(buf, "longer-");
}

static void append_too_much(void)
{
	char buf[8] = "ab";

	__strcat_chk(buf, "cdefgh", sizeof buf);
}

static void print_too_much(void)
{
	char buf[8];

	__snprintf_chk(buf, 9, 1, sizeof buf, "x");
}

static int end_of(void (*f)(void))
{
	int pid = fork(), status;

	if (pid == 0) {
		f();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(too_little_room_ends_the_program)
{
	CHECK(end_of(append_too_much) == SIGABRT && end_of(print_too_much) == SIGABRT);
}

TEST(json_c_reads_and_writes_numbers_and_says_what_is_wrong)
{
	enum json_tokener_error why;
	struct json_object *o =
		json_tokener_parse_verbose("{\"a\":1.5,\"b\":-9007199254740993}", &why);

	CHECK(o && json_object_get_double(json_object_object_get(o, "a")) == 1.5);
	CHECK_STR(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		  "{\"a\":1.5,\"b\":-9007199254740993}");
	json_object_put(o);
	CHECK(!json_tokener_parse_verbose("{\"a\":}", &why));
	CHECK_STR(json_tokener_error_desc(why), "unexpected character");
	CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
}
