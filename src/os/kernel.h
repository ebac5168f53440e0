/* Which kernel this is: for what can't be asked of it without doing it. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/utsname.h>

/* Of a release such as "5.10.0-23-amd64". */
static inline bool kernel_release_is(const char *release, unsigned major, unsigned minor)
{
	unsigned has_major = 0, has_minor = 0;

	return sscanf(release, "%u.%u", &has_major, &has_minor) == 2 &&
	       (has_major > major || (has_major == major && has_minor >= minor));
}

static inline bool kernel_is(unsigned major, unsigned minor) /* or a later one */
{
	struct utsname u;

	return uname(&u) == 0 && kernel_release_is(u.release, major, minor);
}
