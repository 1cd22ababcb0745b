/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Other programs' policies as documents of ours: netreap's key (rules or an array of them),
 * Cilium's objects as kubectl prints them (one, a List, an array), and our own documents with slips
 * in them.
 *
 * Nothing is opened that the original kept closed: an allow entry with a condition that can't be
 * carried over becomes {}, which allows nothing. But a deny that can't be carried over is lost, and
 * a rule whose endpoints can't be named here goes with what it closed: both are said. Every repair
 * is a warning among the notes, every loss an error, both with line and column.
 */
#include "doc.h"

struct pk_imported {
	char *name; /* of the document: the object's, or the file's; NULL: as the file */
	char *text; /* formatted (layout.h); pk_document_parse says whether it is taken */
};

struct pk_import {
	struct pk_imported *docs;
	size_t n;
	struct pk_doc_notes notes;
};
void pk_import_done(struct pk_import *import);
#define own_import PK_OWN(pk_import_done) struct pk_import

/*
 * namespace: of documents that have none (netreap's keys), or NULL. -EINVAL: nothing to import, a
 * note says why.
 */
int pk_import_text(const char *path, const char *text, size_t len, const char *tenant_name,
		   struct pk_import *out);
