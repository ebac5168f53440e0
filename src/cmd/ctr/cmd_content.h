/* The files of `ctr content`. */
#pragma once

#include "cmd/ctr/ctr.h"

command_fn content_ingest, content_edit, content_prune_references;
extern const struct flag ingest_flags[], edit_flags[], references_flags[];
