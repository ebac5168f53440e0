/* What an idle shim gives back: there is one for every pod of a machine. */
#pragma once

struct loop;
struct memory;

struct memory *memory_new(struct loop *l);
void memory_free(struct memory *m);

/* Something was done: a second of quiet after the last one, freed heap and the pages of our code
 * go.  Code comes back from the page cache when it is needed. */
void memory_used(struct memory *m);
