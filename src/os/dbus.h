/* A connection to a D-Bus server or peer: method calls that wait for their answer, and signals.
 *
 * Blocking, with deadlines (CLOCK_MONOTONIC, nanoseconds), for one thread.  Authentication is by
 * the socket's credentials (EXTERNAL).  Files are neither sent nor taken.  All return -errno;
 * -ETIMEDOUT at the deadline; -ECONNRESET when the other side is gone. */
#pragma once

#include "os/dbus_value.h"

struct dbus;

uint64_t dbus_deadline(unsigned ms); /* from now */

/* address: "unix:path=/run/dbus/system_bus_socket", also a list with ";", also unix:abstract.
 * -EPROTONOSUPPORT where nothing in it is a unix socket. is_bus: says Hello, as a bus requires. */
int dbus_open(const char *address, bool is_bus, uint64_t deadline, struct dbus **ret);
/* The same over a connected stream socket, which it takes. */
int dbus_open_fd(int fd_take, bool is_bus, uint64_t deadline, struct dbus **ret);
void dbus_close(struct dbus *d); /* NULL is fine */
static inline void dbus_closep(struct dbus **d)
{
	dbus_close(*d);
}
#define AUTO_DBUS CLEANUP(dbus_closep)

/* Calls and waits.  An error is a reply too: ret->type says so.  Signals that come first are
 * dropped.  ret lives until the next call. */
int dbus_call(struct dbus *d, const char *destination, const char *path, const char *interface,
	      const char *member, const struct dbus_value *args, size_t n_args, uint64_t deadline,
	      struct dbus_message *ret);

/* The next signal; it lives until the next call. */
int dbus_next_signal(struct dbus *d, uint64_t deadline, struct dbus_message *ret);
