/* Children and adopted orphans, reaped in one place.
 *
 * The shim is a subreaper: processes it never started become its children when their parents end.
 * Those who wait for one register its pid.  Between reaper_hold() and reaper_release() the ends of
 * unknown pids are kept, since a process may end before the one who asked for it knows its pid. */
#pragma once

#include "base/macros.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct loop;
struct reaper;

struct reaper *reaper_new(struct loop *l); /* takes SIGCHLD */
void reaper_free(struct reaper *r); /* after the loop's last round */

/* status: the exit code, or 128 + the signal's number. */
typedef void reaper_fn(uint32_t status, struct timespec at, void *arg);

/* fn(…, arg) runs once: from the loop, or from inside this call when the pid has ended already. */
void reaper_watch(struct reaper *r, pid_t pid, reaper_fn *fn, void *arg);
void reaper_unwatch(struct reaper *r, pid_t pid);

void reaper_hold(struct reaper *r);
void reaper_release(struct reaper *r);

/* Children that were told to end and are not ours to leave behind: one more, one less.  fn(arg)
 * runs once there are none, from inside when that is so already. */
void reaper_ending(struct reaper *r);
void reaper_ended(struct reaper *r);
void reaper_on_none_ending(struct reaper *r, void (*fn)(void *arg), void *arg);
