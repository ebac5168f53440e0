#include "runtime/mountinfo.h"

#include "base/test.h"

static const char text[] = "21 20 0:19 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
			   "22 21 0:20 / /proc rw - proc proc rw\n"
			   "23 22 0:20 /sys /proc/sys ro - proc proc rw\n"
			   "24 21 0:21 / /sys rw shared:2 master:3 - sysfs sysfs rw\n"
			   "25 21 0:22 / /mnt/a\\040b rw - proc none rw\n"
			   "26 21 0:23 / /proc-like rw - procfs proc rw\n"
			   "30 21 0:30 / /c rw - overlay - proc rw\n"
			   "31 30 0:31 / /c/proc rw - proc proc rw\n"
			   "32 31 0:32 / /c/proc/sys rw - sysfs sysfs rw\n"
			   "33 21 0:31 / /c/proc rw - proc proc rw\n";

static const char *bare(uint64_t except, struct str *out)
{
	for (const char *at = text;;) {
		AUTO_STR struct str point = STR_INIT(100);

		if (!mountinfo_next_bare(text, except, &at, &point))
			return str_c(out);
		str_addf(out, "%s;", str_c(&point));
	}
}

TEST(whole_ones_outside_of_the_root_file_system)
{
	AUTO_STR struct str out = STR_INIT(1000), all = STR_INIT(1000);

	CHECK_STR(bare(30, &out), "/proc;/sys;/mnt/a b;/c/proc;");
	CHECK_STR(bare(99, &all), "/proc;/sys;/mnt/a b;/c/proc;/c/proc/sys;/c/proc;");
}

TEST(lines_that_are_none)
{
	static const char odd[] =
		"\n22 21\n22 21 0:20 / /p rw proc proc rw\nx 21 0:2 / /p rw - proc p rw\n"
		"22 21 0:2 / p rw - proc p rw\n22 22 0:2 / /own rw - proc";
	const char *at = odd;
	AUTO_STR struct str point = STR_INIT(100), none = STR_INIT(100);

	CHECK(mountinfo_next_bare(odd, 5, &at, &point));
	CHECK_STR(str_c(&point), "/own");
	CHECK(!mountinfo_next_bare(odd, 5, &at, &none));
	CHECK(!*at);
}

TEST(the_mount_of_an_id)
{
	AUTO_STR struct str point = STR_INIT(100), none = STR_INIT(100);

	CHECK(mountinfo_point(text, 25, &point));
	CHECK_STR(str_c(&point), "/mnt/a b");
	CHECK(!mountinfo_point(text, 2, &none));
}
