/* The files of `ctr content`. */
#pragma once

#include "cmd/ctr/ctr.h"

command_fn content_ingest, content_edit, content_prune_references, content_fetch,
	content_fetch_object, content_fetch_blob, content_push_object;
extern const struct flag ingest_flags[], edit_flags[], references_flags[], fetch_flags[],
	fetch_blob_flags[];
