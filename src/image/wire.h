/* The structs that cross the channel, to JSON and back.  What comes back is checked. */
#pragma once

#include "image/channel.h"
#include "image/transfer.h"

void wire_write_descriptor(struct jsonw *w, const struct oci_descriptor *d);
void wire_write_platform(struct jsonw *w, const struct platform *p);
void wire_write_job(struct jsonw *w, const struct transfer_job *job);

/* Fills what the worker needs: kind, the kind's struct (not its descriptors), platforms, unpacks,
 * in the arena. */
int wire_read_job(struct arena *a, json_object *o, struct transfer_job *ret, struct err *e);

void wire_write_result(struct jsonw *w, const struct transfer_result *r);
int wire_read_result(struct arena *a, json_object *o, struct transfer_result *ret, struct err *e);

void wire_write_signatures(struct jsonw *w, const struct sigstore_signature *v, size_t n);
int wire_read_signatures(struct arena *a, json_object *o, const struct sigstore_signature **ret,
			 size_t *ret_n, struct err *e);

/* Labels as an object of strings, under `key`. */
int wire_read_labels(struct arena *a, json_object *o, const char *key, struct labels *ret,
		     struct err *e);
