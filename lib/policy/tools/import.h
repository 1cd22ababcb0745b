/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Other programs' policies as documents of ours: netreap's key (rules or an array of them, as
 * Cilium's API takes them), Cilium's objects as kubectl prints them (one, a List, an array), and
 * our own documents.
 *
 * Nothing is opened that the original kept closed. An allow, or a part of one, that can't be
 * carried over matches nothing: a loss. A deny, a condition on denies or the endpoints of a rule
 * that can't be carried over would open something by their absence, and so would a guess at what
 * Cilium ignored: such a document is refused. Each change that keeps the meaning is a warning
 * among the notes, each loss and refusal an error, all with line and column of the original.
 */
#include "doc.h"

struct pk_imported {
	char *name; /* of the document: the object's, or the file's; NULL: as the file */
	char *text; /* laid out (layout.h); pk_document_parse takes it */
};

struct pk_import {
	struct pk_imported *docs;
	size_t n;
	size_t n_losses, n_refused; /* parts lost, documents refused */
	struct pk_doc_notes notes;
};
void pk_import_done(struct pk_import *import);
#define own_import PK_OWN(pk_import_done) struct pk_import

struct pk_import_options {
	const char
		*tenant_name; /* whose policies those are that don't say it (netreap's), or NULL */
	const char *cluster;  /* the cluster's name in Cilium, NULL: "default", as there */
	/*
	 * Some rule that is imported together with this text has requirements (fromRequires,
	 * toRequires) for peers of ingress, egress: pk_import_scan finds them.
	 */
	bool requires_from, requires_to;
};
/* Looks for requirements, in every text of a run before the first is imported. */
void pk_import_scan(const char *text, size_t len, struct pk_import_options *options);

/* -EINVAL: nothing was imported, a note says why. */
int pk_import_text(const char *path, const char *text, size_t len,
		   const struct pk_import_options *options, struct pk_import *out);
