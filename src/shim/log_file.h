/* The files of one log: FOLDER/container.log is being written, container.log.000007 and its like
 * (or .gz) are what was before it, the highest number last.  Numbers are never given twice, so
 * that a file being compressed cannot be confused with a newer one.
 *
 * What the disk refuses is lost; writing never waits.
 * A container.log that somebody renamed or removed is made anew within a second. */
#pragma once

#include "shim/log_uri.h"

#include <stddef.h>

struct loop;
struct reaper;
struct log_file;

#define LOG_FILE_NAME "container.log"

/* Or FOLDER/o->file alone, which others rotate.
 *
 * Makes the folder.  o is borrowed for the file's life. */
int log_file_open(struct reaper *r, const struct plog_options *o, struct log_file **ret,
		  struct err *e);
void log_file_free(struct log_file *f); /* NULL is fine */

/* Whole records: all of them, or (-1) none. */
int log_file_write(struct log_file *f, const char *bytes, size_t n);
