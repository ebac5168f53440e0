/* /etc/passwd of a container: hostile bytes, read with bounds. */
#pragma once

#include <stdint.h>

/* The home of a numeric user, allocated; NULL when there is no such line, or no such file. */
char *passwd_home(int rootfd, uint32_t uid);

/* The name of a user, the same way. */
char *passwd_name(int rootfd, uint32_t uid);

/* The same in a text, for tests: field 0 is the name, 5 the home. */
char *passwd_find(const char *text, uint32_t uid, int field);
