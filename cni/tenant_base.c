/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant_base.h"

#include <errno.h>
#include <stdlib.h>

#include "compile.h"
#include "doc.h"
#include "docstore.h"
#include "fs.h"
#include "own.h"

#define DOCUMENTS_MAX 65536

struct documents {
	struct pk_document **list;
	size_t n, room;
	uint64_t until_ns;
};

static void documents_done(struct documents *d)
{
	for (size_t i = 0; i < d->n; i++)
		pk_document_free(d->list[i]);
	free(d->list);
}

static int add(struct documents *d, struct pk_document *doc, struct pk_err *err)
{
	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		void *list =
			room <= DOCUMENTS_MAX ? realloc(d->list, room * sizeof(*d->list)) : NULL;

		if (!list) {
			pk_document_free(doc);
			return pk_fail(err, ENOMEM, "policy documents");
		}
		d->list = list;
		d->room = room;
	}
	d->list[d->n++] = doc;
	return 0;
}

static int in_time(uint64_t until_ns, struct pk_err *err)
{
	return pk_now_ns() < until_ns ? 0 : pk_fail(err, ETIMEDOUT, "compile the policy");
}

static int take(void *arg, const struct pk_stored_doc *stored, struct pk_err *err)
{
	struct documents *d = arg;
	const struct pk_doc_source src = { .source = stored->source,
					   .path = stored->path,
					   .name = stored->name,
					   .tenant_name = stored->tenant_name };
	own_notes notes = { 0 };
	own_str line = { 0 };
	struct pk_document *doc = NULL;
	int r = in_time(d->until_ns, err);

	if (r < 0)
		return r;
	r = pk_document_parse(&src, stored->text, stored->len, &doc, &notes);
	if (r == 0)
		return add(d, doc, err);
	pk_doc_notes_line(&notes, &line);
	return pk_fail(err, 0, "stored policy %s: %s", stored->file, line.text ? line.text : "");
}

static int compile(const struct pk_settings *settings, const struct documents *d,
		   const char *tenant_name, struct pk_image **image, struct pk_err *err)
{
	own_labels *init = NULL;

	if (tenant_name)
		return pk_compile_base(settings, d->list, d->n, tenant_name, image, err);
	init = pk_label_set_init();
	return pk_compile_labels(settings, d->list, d->n, init, image, err);
}

/*
 * Refuses a base for a tenant whose documents this node doesn't know: it must not allow, even for a
 * moment, what they may deny.
 */
static int check_known(const struct pk_paths *paths, const char *tenant_name, struct pk_err *err)
{
	if (!tenant_name || pk_docstore_knows(paths->policies, tenant_name))
		return 0;
	return pk_fail(err, 0, "the documents of %.128s are not known on this node yet",
		       tenant_name);
}

int cni_tenant_base_compile(const struct pk_paths *paths, const struct pk_settings *settings,
			    const char *tenant_name, uint64_t until_ns, struct pk_image **out,
			    struct pk_err *err)
{
	PK_OWN(documents_done) struct documents d = { .until_ns = until_ns };
	own_image *image = NULL;
	int r = check_known(paths, tenant_name, err);

	if (r == 0)
		r = pk_docstore_walk_tenant(paths->policies, tenant_name, take, &d, err);
	if (r == 0)
		r = compile(settings, &d, tenant_name, &image, err);
	if (r == 0)
		r = in_time(until_ns, err);
	if (r == 0)
		*out = PK_MOVE(image, NULL);
	return r;
}

int cni_tenant_base_quarantine(const struct pk_settings *settings, struct pk_image **out,
			       struct pk_err *err)
{
	const struct documents none = { 0 };

	return compile(settings, &none, NULL, out, err);
}
