/* The field tables of all records, for those who read records of every kind. */
#pragma once

#include "store/record.h"

extern const struct rec_field image_fields[], container_fields[], content_fields[], lease_fields[],
	lease_item_fields[], sandbox_fields[], activation_fields[];
