/* The files of `ctr snapshots`. */
#pragma once

#include "cmd/ctr/ctr.h"

command_fn snapshots_commit, snapshots_diff, snapshots_label, snapshots_prepare, snapshots_unpack,
	snapshots_view;
extern const struct flag diff_flags[], unpack_flags[], make_flags[];

/* The commands that would mount it, for a shell. */
void mounts_print(Containerd__Types__Mount **v, size_t n, const char *target);
