/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The documents in force, on disk: <directory>/<source>/<file>, one file a document (Consul's
 * sources without "consul/"), text as its author wrote it behind one comment line that holds its
 * name and origin:
 *
 *	// picket: name=db-only-from-api path=/etc/picket/policies.d/db.json
 *	// picket: name=db-only-from-api path=consul:picket/v1/…/db index=918224
 *
 * (values percent-encoded). Written by picketd; read by it at start and by ADD, which compiles
 * a tenant's base from them. So line numbers of a stored text are one more than its author's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "err.h"

struct pk_stored_doc {
	const char *source;	 /* docsource.h */
	const char *tenant_name; /* the source's tenant; NULL: the operator */
	const char *name;
	const char *path; /* where it came from, for messages */
	uint64_t index;	  /* index in its store of the change that brought it; 0: not known */
	const char *text; /* without the comment line */
	size_t len;
	const char *file;     /* this file's own path */
	struct timespec time; /* when it was stored */
};

/* Nonzero from fn ends the walk and is returned. */
typedef int pk_docstore_fn(void *arg, const struct pk_stored_doc *doc, struct pk_err *err);

/* The function learns of doc only its source and file (or a directory of several). */
typedef void pk_docstore_bad_fn(void *arg, const struct pk_stored_doc *doc,
				const struct pk_err *err);

/*
 * Walks every stored document, by source and file name. No directory: 0, none (there never was a
 * controller). A file that can't be read, or isn't one of these: -errno, so that ADD fails closed;
 * bad, where given, is told of such a file instead and the walk goes on.
 */
int pk_docstore_walk(const char *directory, pk_docstore_fn *fn, pk_docstore_bad_fn *bad, void *arg,
		     struct pk_err *err);
/*
 * Walks the documents that may select endpoints of one tenant: files, the operator's and its own;
 * NULL: those that may select quarantine, so no tenant's. Files of other tenants aren't opened, so
 * a broken one harms its own tenant alone.
 */
int pk_docstore_walk_tenant(const char *directory, const char *tenant_name, pk_docstore_fn *fn,
			    void *arg, struct pk_err *err);
/* Returns whether file is the one that holds the document, or would hold it. */
bool pk_docstore_is(const char *directory, const char *source, const char *name, const char *file);

/*
 * Stores a document. Others see it whole or not at all; a power cut may lose it until it and its
 * source are synced.
 */
int pk_docstore_put(const char *directory, const struct pk_stored_doc *doc, struct pk_err *err);
int pk_docstore_sync(const char *directory, const char *source, const char *name,
		     struct pk_err *err); /* name NULL: the source's names */
int pk_docstore_remove(const char *directory, const char *source, const char *name,
		       struct pk_err *err); /* the absent: 0 */
/* Reads one document's text; the caller frees it. */
int pk_docstore_text(const char *directory, const char *source, const char *name, char **text,
		     size_t *len, struct pk_err *err);

/*
 * A shared store may be asked tenant by tenant ("each"): picketd then fetches documents only of
 * tenants that it has to do with. In that mode a tenant's directory means that its documents are
 * known here, also where there are none in it. Without the directory they aren't known, which ADD
 * must not take for having none.
 */
bool pk_docstore_is_each(const char *directory, const char *origin);
int pk_docstore_set_each(const char *directory, const char *origin, bool each, struct pk_err *err);
/*
 * Returns whether the tenant's documents are known here, of every store that is asked tenant by
 * tenant.
 */
bool pk_docstore_knows(const char *directory, const char *tenant_name);
int pk_docstore_make(const char *directory, const char *origin, const char *tenant_name,
		     struct pk_err *err);
/* Removes the tenant's directory, if it is empty. */
void pk_docstore_unmake(const char *directory, const char *origin, const char *tenant_name);
void pk_docstore_tenants(const char *directory, const char *origin,
			 void (*fn)(void *arg, const char *tenant_name), void *arg);
