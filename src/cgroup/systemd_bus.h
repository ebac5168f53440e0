/* systemd over D-Bus: the few calls that the driver makes.  Blocking, bounded by 30 s a step. */
#pragma once

#include "cgroup/systemd.h"
#include "os/dbus.h"

struct systemd_bus; /* a connection to a manager */

/* The system's manager, or with is_user the one of the user we are, found as runc finds it
 * (DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR/bus). */
int systemd_bus_open(bool is_user, struct systemd_bus **ret, struct err *e);
void systemd_bus_close(struct systemd_bus *b); /* NULL is fine */
static inline void systemd_bus_closep(struct systemd_bus **b)
{
	systemd_bus_close(*b);
}
#define AUTO_SYSTEMD_BUS CLEANUP(systemd_bus_closep)

/* A string property of the manager ("Version", "ControlGroup"), in the arena. */
int systemd_bus_manager_property(struct systemd_bus *b, struct arena *a, const char *name,
				 const char **ret, struct err *e);

/* Starts a transient unit and waits until it runs.  A failed one of the same name is cleared. */
int systemd_bus_start(struct systemd_bus *b, struct arena *a, const char *unit,
		      const struct systemd_properties *p, struct err *e);
/* Stops it and waits; one that is not there is fine. */
int systemd_bus_stop(struct systemd_bus *b, const char *unit, struct err *e);
int systemd_bus_set(struct systemd_bus *b, struct arena *a, const char *unit,
		    const struct systemd_properties *p, struct err *e);
/* Moves a process into the unit; sub: a path below it, "" for none. */
int systemd_bus_attach(struct systemd_bus *b, const char *unit, const char *sub, pid_t pid,
		       struct err *e);
