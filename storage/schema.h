/*
 * schema: the layout of a partition, storage/schema.sql, as SQL text in the binary.
 */
#pragma once

#define SCHEMA_APPLICATION_ID 1215460456 /* "Hrth" */
#define SCHEMA_VERSION        2

extern const char schema_sql[];
