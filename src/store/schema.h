/* The database's schema, whole.  Names are joined by NUL bytes to keys; a name longer than
 * KEY_NAME_MAX bytes stands as \1 and its SHA-256 (LMDB's keys end at 511 bytes), which is why
 * values repeat their names.  Values are lists of tagged fields (record.h).
 *
 *   meta
 *     "schema"                          u64  version, now 1
 *   namespaces
 *     NS                                labels
 *   images
 *     NS\0NAME                          name, labels, media type, digest, size, annotations,
 *                                       created, updated
 *   containers
 *     NS\0ID                            id, labels, image, runtime name and options, spec,
 *                                       snapshotter, snapshot key, sandbox, extensions,
 *                                       created, updated
 *   blobs                               the files in blobs/ALGORITHM/HEX
 *     DIGEST                            size, count of the namespaces that have it
 *   content
 *     NS\0DIGEST                        digest, size, labels, created, updated
 *   snapshots
 *     NS\0SNAPSHOTTER\0NAME             name, snapshotter, number of its directory, kind, parent,
 *                                       count of children, labels, usage (committed), created,
 *                                       updated, key in another program
 *   leases
 *     NS\0LEASE                         id, labels, created
 *   lease_items
 *     NS\0LEASE\0TYPE\0ID               lease, type, id
 *   sandboxes
 *     NS\0ID                            id, sandboxer, runtime name and options, spec, labels,
 *                                       extensions, created, updated
 *   activations                         mounts that are made now (activation.h)
 *     NS\0NAME                           name, mounts made and left, mount points, labels, id of
 * the boot, number of the folder, whether it is complete, created, updated
 *
 * Ingests have no records: the directory tree ingest/ is the truth about them. */
#pragma once

enum { SCHEMA_VERSION = 1, KEY_NAME_MAX = 160 };

enum table {
	TABLE_META,
	TABLE_NAMESPACES,
	TABLE_IMAGES,
	TABLE_CONTAINERS,
	TABLE_BLOBS,
	TABLE_CONTENT,
	TABLE_SNAPSHOTS,
	TABLE_LEASES,
	TABLE_LEASE_ITEMS,
	TABLE_SANDBOXES,
	TABLE_ACTIVATIONS,
	TABLE_COUNT
};
