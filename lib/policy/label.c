/* SPDX-License-Identifier: Apache-2.0 */
#include "label.h"

#include <errno.h>
#include <string.h>

#include "json.h"
#include "str.h"

#define NAMESPACE "nomad:namespace"
#define INIT	  "reserved:init"

static void *grow(void *array, size_t n, size_t size)
{
	void *p = array;

	/* The room doubles, so that it is used up exactly where n is a power of two. */
	if ((n & (n - 1)) == 0)
		p = realloc(array, (n ? n * 2 : 1) * size);
	if (!p)
		abort();
	return p;
}

struct pk_label_set *pk_label_set_new(void)
{
	struct pk_label_set *set = pk_alloc(sizeof(*set));

	set->text = pk_strdup("");
	return set;
}

void pk_label_set_add(struct pk_label_set *set, const char *key, const char *value)
{
	set->known = grow(set->known, set->n_known, sizeof(*set->known));
	set->known[set->n_known++] =
		(struct pk_label){ .key = pk_strdup(key), .value = pk_strdup(value) };
}

void pk_label_set_add_unknown(struct pk_label_set *set, const char *name)
{
	set->unknown = grow(set->unknown, set->n_unknown, sizeof(*set->unknown));
	set->unknown[set->n_unknown++] = pk_strdup(name);
}

void pk_label_set_free(struct pk_label_set *set)
{
	if (!set)
		return;
	if (set->sharers) {
		set->sharers--;
		return;
	}
	for (size_t i = 0; i < set->n_known; i++) {
		free(set->known[i].key);
		free(set->known[i].value);
	}
	for (size_t i = 0; i < set->n_unknown; i++)
		free(set->unknown[i]);
	free(set->known);
	free(set->unknown);
	free(set->text);
	free(set);
}

static int label_cmp(const void *a, const void *b)
{
	const struct pk_label *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : strcmp(x->value, y->value);
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void drop_known(struct pk_label_set *set, size_t i)
{
	free(set->known[i].key);
	free(set->known[i].value);
	memmove(&set->known[i], &set->known[i + 1], (--set->n_known - i) * sizeof(*set->known));
}

static void drop_doubles(struct pk_label_set *set)
{
	size_t n = 0;

	if (set->n_known)
		qsort(set->known, set->n_known, sizeof(*set->known), label_cmp);
	for (size_t i = 0; i < set->n_known; i++) {
		if (n && label_cmp(&set->known[n - 1], &set->known[i]) == 0) {
			free(set->known[i].key);
			free(set->known[i].value);
		} else {
			set->known[n++] = set->known[i];
		}
	}
	set->n_known = n;
	n = 0;
	if (set->n_unknown)
		qsort(set->unknown, set->n_unknown, sizeof(*set->unknown), name_cmp);
	for (size_t i = 0; i < set->n_unknown; i++) {
		if (n && strcmp(set->unknown[n - 1], set->unknown[i]) == 0)
			free(set->unknown[i]);
		else
			set->unknown[n++] = set->unknown[i];
	}
	set->n_unknown = n;
}

static void add_text(struct pk_str *s, const char *text, bool is_key)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			pk_str_addf(s, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (is_key && c == '='))
			pk_str_addf(s, "\\u%04x", c);
		else
			pk_str_addn(s, text, 1);
	}
}

static char *canonical(const struct pk_label_set *set)
{
	struct pk_str s = { 0 };
	char *text;

	pk_str_add(&s, "[");
	for (size_t i = 0; i < set->n_known; i++) {
		pk_str_add(&s, i ? ",\"" : "\"");
		add_text(&s, set->known[i].key, true);
		pk_str_add(&s, "=");
		add_text(&s, set->known[i].value, false);
		pk_str_add(&s, "\"");
	}
	if (set->n_unknown)
		pk_str_add(&s, set->n_known ? ",[" : "[");
	for (size_t i = 0; i < set->n_unknown; i++) {
		pk_str_add(&s, i ? ",\"" : "\"");
		add_text(&s, set->unknown[i], false);
		pk_str_add(&s, "\"");
	}
	pk_str_add(&s, set->n_unknown ? "]]" : "]");
	text = pk_str_take(&s);
	if (!text)
		abort();
	return text;
}

static void quarantine(struct pk_label_set *set)
{
	while (set->n_known)
		drop_known(set, set->n_known - 1);
	while (set->n_unknown)
		free(set->unknown[--set->n_unknown]);
	pk_label_set_add(set, INIT, "");
	set->init = true;
}

static int check_reserved(const struct pk_label_set *set, bool *init, struct pk_err *err)
{
	for (size_t i = 0; i < set->n_known; i++) {
		const char *key = set->known[i].key;

		if (strncmp(key, "reserved:", 9) != 0)
			continue;
		if (strcmp(key, INIT) != 0)
			return pk_fail(err, 0, "label \"%s\" is Picket's own", key);
		*init = true;
	}
	return 0;
}

int pk_label_set_finish(struct pk_label_set *set, struct pk_err *err)
{
	const struct pk_label *ns;
	int r;

	set->init = false;
	r = check_reserved(set, &set->init, err);
	if (r < 0)
		return r;
	drop_doubles(set);
	ns = pk_label_set_get(set, NAMESPACE);
	if (ns && set->init)
		return pk_fail(err, 0, "reserved:init beside the namespace \"%s\"", ns->value);
	if (ns && ns + 1 < set->known + set->n_known && strcmp(ns[1].key, NAMESPACE) == 0)
		return pk_fail(err, 0, "two namespaces, \"%s\" and \"%s\"", ns->value, ns[1].value);
	if (set->init || (!ns && !pk_label_set_is_unknown(set, NAMESPACE))) {
		quarantine(set);
		ns = NULL;
	}
	set->tenant_name = ns ? ns->value : NULL;
	free(set->text);
	set->text = canonical(set);
	pk_hash128(set->text, strlen(set->text), set->hash);
	return 0;
}

static void finish(struct pk_label_set *set)
{
	/* Every set made here is right, so none is refused: no reserved label, one namespace. */
	if (pk_label_set_finish(set, NULL) < 0)
		abort();
}

struct pk_label_set *pk_label_set_copy(const struct pk_label_set *set)
{
	struct pk_label_set *copy = pk_label_set_new();

	for (size_t i = 0; i < set->n_known; i++)
		pk_label_set_add(copy, set->known[i].key, set->known[i].value);
	for (size_t i = 0; i < set->n_unknown; i++)
		pk_label_set_add_unknown(copy, set->unknown[i]);
	if (set->text[0])
		finish(copy);
	return copy;
}

struct pk_label_set *pk_label_set_share(const struct pk_label_set *set)
{
	struct pk_label_set *shared = (struct pk_label_set *)set;

	shared->sharers++;
	return shared;
}

static int parse_unknown(const struct pk_json *names, struct pk_label_set *set)
{
	for (const struct pk_json *v = pk_json_first(names); v; v = pk_json_next(v)) {
		const char *name = pk_json_string(v);

		if (!name)
			return -EINVAL;
		pk_label_set_add_unknown(set, name);
	}
	return 0;
}

/* Splits "meta:a=b=c" by its raw JSON text, where a '=' of the key is \u003d. */
static void split_raw(const char *raw, const char *value, struct pk_label_set *set)
{
	size_t skip = 0;
	own_mem char *copy = pk_strdup(value);
	char *p = copy;

	for (const char *r = raw; *r && *r != '='; r++)
		if (strncmp(r, "\\u003d", 6) == 0)
			skip++;
	for (; *p; p++)
		if (*p == '=' && skip-- == 0)
			break;
	if (*p)
		*p++ = '\0';
	pk_label_set_add(set, copy, p);
}

static const char *raw_string(const char *text, size_t index)
{
	bool in = false;
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		if (in && *p == '\\' && p[1])
			p++;
		else if (*p == '"') {
			in = !in;
			if (in && n++ == index)
				return p + 1;
		}
	}
	return "";
}

int pk_label_set_parse(const char *text, struct pk_label_set **out, struct pk_err *err)
{
	own_json *doc = NULL;
	own_labels *set = pk_label_set_new();
	const struct pk_json *root;
	size_t index = 0;
	int r;

	r = pk_json_parse("labels", text, strlen(text), 0, &doc, err);
	if (r < 0)
		return r;
	root = pk_json_root(doc);
	if (pk_json_type(root) != PK_JSON_ARRAY)
		return pk_fail(err, 0, "label set is not an array: %.80s", text);
	for (const struct pk_json *v = pk_json_first(root); v && r == 0; v = pk_json_next(v)) {
		const char *label = pk_json_string(v);

		if (!label)
			r = parse_unknown(v, set);
		else
			split_raw(raw_string(text, index++), label, set);
	}
	if (r == 0)
		r = pk_label_set_finish(set, err);
	if (r == 0 && strcmp(set->text, text) != 0)
		r = -EINVAL;
	if (r < 0)
		return pk_fail(err, 0, "label set is not canonical: %.80s", text);
	*out = PK_MOVE(set, NULL);
	return 0;
}

static void add_node_labels(struct pk_label_set *set, const struct pk_settings *s, bool believed)
{
	const struct {
		const char *key, *value;
	} rows[] = { { "nomad:region", s->region },
		     { "nomad:node", s->node },
		     { "nomad:nodepool", s->node_pool },
		     { "nomad:datacenter", s->datacenter } };

	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		if (rows[i].value[0])
			pk_label_set_add(set, rows[i].key, rows[i].value);
		else if (!believed)
			pk_label_set_add_unknown(set, rows[i].key);
	}
}

struct pk_label_set *pk_label_set_from_claims(const struct pk_claims *claims,
					      const struct pk_settings *settings)
{
	static const char *const later[] = { "nomad:job", "nomad:group", "consul:service", "meta:*",
					     "port:*" };
	struct pk_label_set *set;

	if (!claims->tenant_name || !claims->tenant_name[0])
		return pk_label_set_init();
	set = pk_label_set_new();
	pk_label_set_add(set, NAMESPACE, claims->tenant_name);
	add_node_labels(set, settings, claims->believed);
	if (claims->believed && claims->job)
		pk_label_set_add(set, "nomad:job", claims->job);
	if (claims->believed && claims->group)
		pk_label_set_add(set, "nomad:group", claims->group);
	for (size_t i = 0; !claims->believed && i < PK_ARRAY_LEN(later); i++)
		pk_label_set_add_unknown(set, later[i]);
	finish(set);
	return set;
}

bool pk_tenant_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return n >= 1 && n <= 128 && !name[n];
}

struct pk_label_set *pk_label_set_from_declared(const struct pk_label_set *declared,
						const struct pk_settings *settings)
{
	struct pk_label_set *set = pk_label_set_copy(declared);

	if (set->init)
		return set;
	add_node_labels(set, settings, true);
	finish(set);
	return set;
}

struct pk_label_set *pk_label_set_of_tenant(const char *tenant_name)
{
	struct pk_label_set *set = pk_label_set_new();

	if (tenant_name)
		pk_label_set_add(set, NAMESPACE, tenant_name);
	pk_label_set_add_unknown(set, "*");
	finish(set);
	return set;
}

struct pk_label_set *pk_label_set_init(void)
{
	struct pk_label_set *set = pk_label_set_new();

	pk_label_set_add(set, INIT, "");
	finish(set);
	return set;
}

struct pk_label_set *pk_label_set_unknown(void)
{
	return pk_label_set_of_tenant(NULL);
}

const struct pk_label *pk_label_set_get(const struct pk_label_set *set, const char *key)
{
	for (size_t i = 0; i < set->n_known; i++)
		if (strcmp(set->known[i].key, key) == 0)
			return &set->known[i];
	return NULL;
}

static bool name_covers(const char *name, const char *key)
{
	size_t n = strlen(name);

	if (n && name[n - 1] == '*')
		return strncmp(name, key, n - 1) == 0;
	return strcmp(name, key) == 0;
}

bool pk_label_set_is_unknown(const struct pk_label_set *set, const char *key)
{
	if (set->init)
		return strncmp(key, "reserved:", 9) != 0;
	for (size_t i = 0; i < set->n_unknown; i++)
		if (name_covers(set->unknown[i], key))
			return true;
	return false;
}

void pk_tenant_hash(const char *tenant_name, uint64_t out[2])
{
	pk_hash128(tenant_name, strlen(tenant_name), out);
}
