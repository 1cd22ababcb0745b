/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/picket.conflist is what the plugin accepts; its schema and docs/cni.md know the same
 * keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni_conf.h"
#include "fs.h"
#include "json.h"
#include "own.h"

static char *slurp(const char *path, size_t *len)
{
	char *text = NULL;
	struct pk_err err = { 0 };

	if (pk_fs_read(path, PK_JSON_MAX, &text, len, &err) < 0)
		fail_msg("%s (run from the top of the tree)", err.text);
	return text;
}

static struct pk_json_doc *load(const char *path)
{
	size_t len = 0;
	own_mem char *text = slurp(path, &len);
	struct pk_json_doc *doc = NULL;
	struct pk_err err = { 0 };

	if (pk_json_parse(path, text, len, 0, &doc, &err) < 0)
		fail_msg("%s", err.text);
	return doc;
}

/* What libcni does with a list: each plugin's object gets the list's name and version. */
static void the_example_is_accepted(void **state)
{
	own_json *doc = load("examples/picket.conflist");
	const struct pk_json *root = pk_json_root(doc);
	const struct pk_json *plugin = pk_json_first(pk_json_get(root, "plugins"));
	PK_OWN(cni_conf_done) struct cni_conf conf = { 0 };
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_err err = { 0 };

	(void)state;
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "name", pk_json_string(pk_json_get(root, "name")));
	pk_jw_string(&w, "cniVersion", pk_json_string(pk_json_get(root, "cniVersion")));
	for (const struct pk_json *m = pk_json_first(plugin); m; m = pk_json_next(m))
		pk_jw_value(&w, pk_json_key(m), m);
	pk_jw_close(&w, '}');
	if (cni_conf_parse(text.text, text.len, CNI_ADD, &conf, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(conf.n_pools, 2);
}

static bool is_ours(const char *key)
{
	static const char *const spec[] = { "type",	  "cniVersion",	  "name",
					    "args",	  "capabilities", "runtimeConfig",
					    "prevResult", "ipam",	  NULL };

	for (size_t i = 0; spec[i]; i++)
		if (!strcmp(key, spec[i]))
			return false;
	return true;
}

/*
 * Each key of the schema is known to the plugin (a null is the wrong type, not unknown) and
 * documented.
 */
static void schema_plugin_and_documentation_agree(void **state)
{
	own_json *doc = load("examples/conflist.schema.json");
	const struct pk_json *keys = pk_json_first(pk_json_get(
		pk_json_get(pk_json_get(pk_json_root(doc), "$defs"), "picket"), "properties"));
	size_t len = 0;
	own_mem char *docs = slurp("docs/cni.md", &len);
	size_t n = 0;

	(void)state;
	assert_non_null(keys);
	for (const struct pk_json *k = keys; k; k = pk_json_next(k)) {
		PK_OWN(cni_conf_done) struct cni_conf conf = { 0 };
		struct pk_err err = { 0 };
		char text[256], word[80];

		if (!is_ours(pk_json_key(k)))
			continue;
		n++;
		snprintf(text, sizeof(text),
			 "{\"cniVersion\":\"1.0.0\",\"name\":\"p\",\"%s\":null}", pk_json_key(k));
		if (cni_conf_parse(text, strlen(text), CNI_ADD, &conf, &err) == 0 ||
		    strstr(err.text, "unknown key"))
			fail_msg("%s: \"%s\"", pk_json_key(k), err.text);
		snprintf(word, sizeof(word), "`%s`", pk_json_key(k));
		if (!strstr(docs, word))
			fail_msg("docs/cni.md doesn't have %s", word);
	}
	assert_int_equal(n, 21);
}

static void parse(const char *text, struct cni_conf *conf)
{
	struct pk_err err = { 0 };

	if (cni_conf_parse(text, strlen(text), CNI_ADD, conf, &err) < 0)
		fail_msg("%s: %s", text, err.text);
}

/* The values alone: nothing of where they are kept, nor whether they were said. */
static struct cni_conf values_of(const struct cni_conf *conf)
{
	struct cni_conf values = *conf;

	assert_string_equal(conf->root, "/");
	values.doc = NULL;
	values.name = values.root = NULL;
	values.has_baseline = false;
	return values;
}

/* What an editor shows as a key's default is what the plugin takes where the key isn't there. */
static void defaults_are_in_step(void **state)
{
	own_json *doc = load("examples/conflist.schema.json");
	const struct pk_json *keys = pk_json_first(pk_json_get(
		pk_json_get(pk_json_get(pk_json_root(doc), "$defs"), "picket"), "properties"));
	PK_OWN(cni_conf_done) struct cni_conf without = { 0 };
	size_t n = 0;

	(void)state;
	parse("{\"cniVersion\":\"1.0.0\",\"name\":\"p\"}", &without);
	for (const struct pk_json *k = keys; k; k = pk_json_next(k)) {
		const struct pk_json *value = pk_json_get(k, "default");
		PK_OWN(cni_conf_done) struct cni_conf with = { 0 };
		struct cni_conf is, was = values_of(&without);
		own_str text = { 0 };
		struct pk_jw w = { .out = &text };

		if (!value || pk_json_type(value) == PK_JSON_ARRAY)
			continue;
		n++;
		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "cniVersion", "1.0.0");
		pk_jw_string(&w, "name", "p");
		pk_jw_value(&w, pk_json_key(k), value);
		pk_jw_close(&w, '}');
		parse(text.text, &with);
		is = values_of(&with);
		if (memcmp(&is, &was, sizeof(is)) != 0)
			fail_msg("%s: not what is taken without it; fix: cni_conf.c's default",
				 pk_json_key(k));
	}
	assert_int_equal(n, 9);
}

static void the_schema_is_in_step(void **state)
{
	size_t len = 0;
	own_mem char *text = slurp("examples/conflist.schema.json", &len);
	own_str want = { 0 };

	(void)state;
	cni_conf_schema(&want);
	if (strcmp(text, want.text) != 0)
		fail_msg("fix: picketd -print-conflist-schema > examples/conflist.schema.json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_is_accepted),
		cmocka_unit_test(schema_plugin_and_documentation_agree),
		cmocka_unit_test(defaults_are_in_step),
		cmocka_unit_test(the_schema_is_in_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
