/* tmpcopyup: what is below a new tmpfs is in it, too. */
#pragma once

#include "base/err.h"

/* Copies what the folder `from` has into `to`, with owners and modes; links and devices stay what
 * they are.  procfd: the host's /proc, by which a file is opened that was looked at. */
int copy_up(int procfd, int from, int to, struct err *e);
