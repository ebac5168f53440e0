/* Which log programs a bundle's processes have, on disk: whoever cleans up behind a shim that was
 * killed ends those, too.  A file LOGGER-PID each, with what tells the process, and the shim that
 * minds it, from later ones of the same pids. */
#pragma once

#include <sys/types.h>

/* Best effort, both: without it only a shim's own violent death is left uncovered. */
void logger_record(int bundlefd, pid_t pid);
void logger_record_remove(int bundlefd, pid_t pid);

/* For the delete verb, once the containers' ends of the pipes are closed: asks those without a
 * living shim to end, and kills what is still there a second later. */
void logger_record_end_all(int bundlefd);
