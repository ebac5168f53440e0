/* Terminals: a pty pair whose ends are what they should be. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct console {
	int master, slave;
	bool is_inside; /* of the container's own devpts */
};
#define CONSOLE_NONE ((struct console){ -1, -1, false })
void console_done(struct console *c);
#define AUTO_CONSOLE CLEANUP(console_done)

/* A pair from the devpts at /dev/pts of the root when there is one, else from host_ptmx (an fd of
 * the host's /dev/ptmx).  Every fd is checked to be a pty of a devpts. */
int console_open(int rootfd, int host_ptmx, struct console *ret, struct err *e);

/* Its output's "\n" stays as it is: whoever shows it has a terminal that adds the "\r". */
void console_make_plain(int master);

/* Binds the slave over /dev/console, which is made as a plain file and never followed. */
int console_bind(const struct console *c, int rootfd, struct err *e);

/* Makes the slave the calling session's terminal, and 0, 1 and 2. 0 rows and columns: no size. */
int console_become(const struct console *c, unsigned short rows, unsigned short columns,
		   struct err *e);
