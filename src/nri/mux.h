/* NRI's two connections in one socket: frames of a connection's number and a length (both 32 bits,
 * big endian) before the bytes.  Number 1 carries our calls to the plugin, 2 its calls to us.
 *
 * Each inner connection is a socket pair, so that the ttrpc client and server need not know.  The
 * loop's thread only.  Bounded: nothing is read for a side that does not take what it has. */
#pragma once

#include "base/macros.h"

struct loop;
struct mux;

/* trunk is owned by the mux from here on; the inner ends are the caller's, and their closing ends
 * the mux.  gone(arg) runs once when the trunk or an inner end is closed, not after mux_free().
 * -errno when there are no sockets to be had. */
int mux_new(struct loop *l, int trunk_take, void (*gone)(void *arg), void *arg, struct mux **ret,
	    int *ret_plugin_fd, int *ret_runtime_fd);
void mux_free(struct mux *m); /* NULL is fine */
