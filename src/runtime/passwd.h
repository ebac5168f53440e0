/* /etc/passwd of a container: hostile bytes, read with bounds. */
#pragma once

#include <stdint.h>

/* The home of a numeric user, allocated; NULL when there is no such line, or no such file. */
char *passwd_home(int rootfd, uint32_t uid);

/* The same in a text: for tests. */
char *passwd_find_home(const char *text, uint32_t uid);
