#include "os/apparmor.h"

#include "base/test.h"

#include <unistd.h>

TEST(text)
{
	AUTO_STR struct str s = STR_INIT(65536), other = STR_INIT(65536);

	apparmor_profile(&s, "box", "unconfined", "/no/such/folder");
	CHECK(str_starts(
		str_c(&s),
		"@{PROC}=/proc/\nprofile box flags=(attach_disconnected,mediate_deleted) {\n"));
	CHECK(str_ends(str_c(&s), "}\n"));
	CHECK(strstr(str_c(&s), "  signal (send, receive) peer=box,\n"));
	CHECK(strstr(str_c(&s),
		     "  deny @{PROC}/sys/kernel/[^s]** w,\n  deny @{PROC}/sys/kernel/s[^h]** w,\n"
		     "  deny @{PROC}/sys/kernel/sh[^m]** w,\n"));
	CHECK(strstr(str_c(&s), "  deny /sys/[^f]*/** wklx,\n  deny /sys/f[^s]*/** wklx,\n  deny "
				"/sys/fs/[^c]*/** wklx,\n"));
	apparmor_profile(&other, "box", "my-daemon", "/no/such/folder");
	CHECK(strstr(str_c(&other), "peer=unconfined,\n") &&
	      strstr(str_c(&other), "peer=my-daemon,\n"));
}

TEST(names)
{
	static const char *const bad[] = { "-x", "a b", "a{", "a\n}", "../x,", "a\"" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = { 0 };

		CHECK_FAIL(apparmor_load_default(bad[i], &e), &e, ERR_INVALID_ARGUMENT);
	}
}

TEST(without_apparmor_it_says_so)
{
	struct err e = { 0 };

	if (access("/sys/kernel/security/apparmor/profiles", F_OK) == 0)
		SKIP("this kernel has AppArmor");
	CHECK(apparmor_load_default("box", &e) == -1);
	CHECK_STR(e.msg, "open /sys/kernel/security/apparmor/profiles: no such file or directory");
}
