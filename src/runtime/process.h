/* The last steps of a process, the same for a container's init and for exec: from "inside, as
 * root" to execve. */
#pragma once

#include "runtime/console.h"
#include "runtime/launch.h"

/* Of a process that is not its user yet; 0: ourselves. */
int process_set_rlimits(pid_t pid, const struct plan_process *p, struct err *e);

/* From outside; nothing where the plan has none. */
int process_set_oom_score(int procfd, pid_t pid, const struct plan_process *p, struct err *e);

/* A new session, default signals, all processors; limits where they are to come first. */
int process_begin(const struct launch_end *l, struct err *e);

/* The container's session keyring in place of the caller's, which may hold keys of the host.  After
 * the user namespace is entered: the kernel looks for the name there. */
int process_join_keyring(const char *id, struct err *e);

/* Makes the terminal if one is asked for, tells the parent, and connects it; binds it over
 * /dev/console when bind is set.  Without a terminal: the given stdio. */
int process_connect(const struct launch_end *l, int rootfd, bool bind, struct err *e);

/* The user, capabilities, working directory, label, filter.  *ret_path is the program to execute
 * (found in the process's own PATH), allocated.  Closes all descriptors but those that the program
 * gets, sync and fifo. */
int process_become(const struct launch_end *l, int rootfd_take, char **ret_path, struct err *e);

/* Only comes back with an error. */
int process_execute(const struct launch_end *l, const char *path, struct err *e);
