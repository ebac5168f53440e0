/* Checkpoints as images: an index whose manifests are criu's images, the spec, the container's
 * image and what it has written.  Names, types and annotations are the original's, so that either
 * ctr restores what the other one saved. */
#pragma once

#include "cmd/ctr/container.h"
#include "cmd/ctr/task.h"

#define CHECKPOINT_IMAGES "application/vnd.containerd.container.criu.checkpoint.criu.tar"
#define CHECKPOINT_CONFIG "application/vnd.containerd.container.checkpoint.config.v1+proto"
#define CHECKPOINT_OPTIONS "application/vnd.containerd.container.checkpoint.options.v1+proto"
#define CHECKPOINT_RUNTIME_OPTIONS \
	"application/vnd.containerd.container.checkpoint.runtime.options+proto"
#define CHECKPOINT_REF_NAME "org.opencontainers.image.ref.name"
#define CHECKPOINT_RUNTIME "io.containerd.checkpoint.runtime"
#define CHECKPOINT_SNAPSHOTTER "io.containerd.checkpoint.snapshotter"

/* checkpoint.c */
command_fn tasks_checkpoint, containers_checkpoint;
extern const struct flag tasks_checkpoint_flags[], containers_checkpoint_flags[];

/* restore.c */
command_fn containers_restore;
extern const struct flag containers_restore_flags[];
