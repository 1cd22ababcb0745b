/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Between import.c (forms, documents, rules) and import_entry.c (entries, selectors). */
#include "doc_read.h"
#include "import.h"

struct pk_importer {
	struct pk_reader r; /* notes, with lines of the original */
	bool deny;	    /* of the entries that are being read */
	bool tenant;	    /* the document will be a namespace's: its allows mean less */
	bool kubernetes;    /* bare keys were labels of pods */
	struct pk_jw w;	    /* the document that is being written */
};

/* A repair, and what can't be carried over. */
#define import_repair(im, v, key, ...) pk_read_warn(&(im)->r, v, key, NULL, __VA_ARGS__)
#define import_loss(im, v, key, ...)   pk_read_error(&(im)->r, v, key, NULL, __VA_ARGS__)

/*
 * Is it an object? What has a wrong type is written as it is: the check of the result speaks of it.
 */
bool pk_import_object(struct pk_importer *im, const char *key, const struct pk_json *v);
/* NULL where the selector can be said here, else why not. */
const char *pk_import_selector_loss(const struct pk_json *selector);
void pk_import_selector(struct pk_importer *im, const char *key, const struct pk_json *selector);
/* "ingress", "egress", "ingressDeny", "egressDeny". */
void pk_import_entries(struct pk_importer *im, const struct pk_json *list);
