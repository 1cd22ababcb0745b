/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks that a node has claimed, as node.json tells the plugin. */
#include <errno.h>
#include <stdlib.h>

#include "addr_json.h"
#include "json.h"
#include "own.h"
#include "settings.h"
#include "settings_forms.h"

#define UNTIL_MAX (1ll << 53)

static int read_claimed(const struct pk_schema *form, const struct pk_json_doc *doc,
			const struct pk_json *v, void *at, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(v, "blocks");
	struct pk_settings *s = at;

	(void)form, (void)doc, (void)err;
	s->claimed = true;
	free(s->blocks);
	s->blocks = pk_alloc((pk_json_count(list) + 1) * sizeof(*s->blocks));
	s->n_blocks = 0;
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
		pk_prefix_parse(pk_json_string(e), &s->blocks[s->n_blocks++]);
	return pk_json_int(pk_json_get(v, "until"), 0, UNTIL_MAX, &s->blocks_until);
}

static void write_claimed(const struct pk_schema *form, struct pk_jw *w, const char *key,
			  const void *at)
{
	const struct pk_settings *s = at;

	(void)form;
	pk_jw_open(w, key, '{');
	pk_prefixes_write(w, "blocks", s->blocks, s->n_blocks);
	pk_jw_int(w, "until", s->blocks_until);
	pk_jw_close(w, '}');
}
static const struct pk_kept kept_claimed = { read_claimed, write_claimed };
static const struct pk_schema block = { .form = PK_FORM_STRING, .format = &pk_format_prefix };
static const struct pk_schema blocks = { .form = PK_FORM_LIST, .item = &block };
static const struct pk_schema until = { .form = PK_FORM_INT, .lo = 0, .hi = UNTIL_MAX };
static const struct pk_schema_key keys[] = {
	{ "blocks", &blocks, NULL, true, 0 },
	{ "until", &until, NULL, true, 0 },
	{ .name = NULL },
};
const struct pk_schema pk_form_claimed = {
	.form = PK_FORM_OBJECT,
	.keys = keys,
	.kept = &kept_claimed,
};

int pk_settings_check_blocks(const struct pk_settings *s, int64_t now, struct pk_err *err)
{
	int r;

	if (!s->n_blocks) {
		r = pk_fail(err, 0,
			    "this node hands out no address: it has not claimed a block of each "
			    "family of \"range\" yet");
		return pk_fix(err, pk_code(err, r, PK_CODE_TRY_LATER),
			      "picketd claims one as soon as it can: `picket status` says what it "
			      "waits for");
	}
	/* A clock that was set back makes no claim count for longer. */
	if (now < s->blocks_until && s->blocks_until - now <= PK_BLOCKS_KEEP_S)
		return 0;
	r = pk_fail(err, 0,
		    "this node's blocks were confirmed too long ago: they may be another's by now");
	return pk_fix(err, pk_code(err, r, PK_CODE_TRY_LATER),
		      "start picketd and let it reach Consul: `picket status` says what it waits "
		      "for");
}
