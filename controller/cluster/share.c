/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "addr_json.h"
#include "json.h"
#include "picket/limits.h"
#include "resolv.h"

#define NUMBER_MAX (1ll << 53)
#define NUMBER_LEN 16 /* digits */
#define KEY_MAX	   256
#define HEAD_LEN   64 /* bytes of a share's text at most that aren't its endpoints' */

void pk_share_add(struct pk_share *s, struct pk_world_endpoint *ep, uint64_t generation)
{
	s->list = realloc(s->list, (s->n + 1) * sizeof(*s->list));
	if (!s->list)
		abort();
	s->list[s->n++] = (struct pk_share_endpoint){ ep, generation };
}

static void cut(struct pk_share *s, size_t n)
{
	while (s->n > n)
		pk_world_endpoint_free(s->list[--s->n].ep);
}

void pk_share_done(struct pk_share *s)
{
	cut(s, 0);
	free(s->list);
	*s = (struct pk_share){ 0 };
}

static int by_key(const void *a, const void *b)
{
	const struct pk_share_endpoint *x = a, *y = b;

	return strcmp(x->ep->key, y->ep->key);
}

static void write_endpoint(struct pk_jw *w, const struct pk_share_endpoint *e)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "id", e->ep->key);
	pk_jw_uint(w, "generation", e->generation);
	pk_jw_string(w, "labels", e->ep->labels->text);
	if (e->ep->n_ports) {
		pk_jw_open(w, "ports", '{');
		for (size_t i = 0; i < e->ep->n_ports; i++)
			pk_jw_uint(w, e->ep->ports[i].name, e->ep->ports[i].port);
		pk_jw_close(w, '}');
	}
	pk_addrs_write(w, "addresses", e->ep->addresses, e->ep->n_addresses);
	pk_jw_close(w, '}');
}

void pk_share_encode(const struct pk_share *s, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	if (s->n)
		qsort(s->list, s->n, sizeof(*s->list), by_key);
	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", PK_SHARE_VERSION);
	pk_jw_uint(&w, "number", s->number);
	pk_jw_open(&w, "endpoints", '[');
	for (size_t i = 0; i < s->n; i++)
		write_endpoint(&w, &s->list[i]);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
}

size_t pk_share_encode_in(struct pk_share *s, size_t most, struct pk_str *out)
{
	const size_t before = s->n;

	pk_share_encode(s, out);
	while (most && s->n && out->len + NUMBER_LEN > most) {
		cut(s, s->n * most / (out->len + NUMBER_LEN)); /* cuts at least one */
		pk_str_reset(out);
		pk_share_encode(s, out);
	}
	return before - s->n;
}

static size_t part_of(const struct pk_share_endpoint *e, size_t parts)
{
	uint64_t hash[2];

	pk_hash128(e->ep->key, strlen(e->ep->key), hash);
	return hash[0] & (parts - 1);
}

/* Returns whether each part has its endpoints in at most so many bytes. */
static bool fits(const struct pk_share *s, const size_t *len, size_t parts, size_t most)
{
	size_t sum[PK_SHARE_PARTS] = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		size_t *part = &sum[part_of(&s->list[i], parts)];

		*part += len[i] + 1;
		if (*part + HEAD_LEN > most)
			return false;
	}
	return true;
}

size_t pk_share_parts(const struct pk_share *s, size_t most, size_t parts)
{
	size_t *len = pk_alloc((s->n + 1) * sizeof(*len));
	own_str text = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		struct pk_jw w = { .out = &text };

		pk_str_reset(&text);
		write_endpoint(&w, &s->list[i]);
		len[i] = text.len;
	}
	while (parts > 1 && fits(s, len, parts / 2, most / 2))
		parts /= 2;
	while (parts < PK_SHARE_PARTS && !fits(s, len, parts, most))
		parts *= 2;
	free(len);
	return parts;
}

void pk_share_split(struct pk_share *s, struct pk_share *parts, size_t n_parts)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct pk_share_endpoint *e = &s->list[i];

		pk_share_add(&parts[part_of(e, n_parts)], e->ep, e->generation);
	}
	s->n = 0;
}

/* A text that is being read; err says why it is refused. */
struct reader {
	const struct pk_json_doc *doc;
	const char *tenant_name;
	struct pk_label_sets *sets;
	struct pk_err *err;
};

static int bad(const struct reader *r, const struct pk_json *v, const char *what)
{
	return pk_json_fail(r->err, r->doc, v, false, "%s", what);
}

uint64_t pk_word_number_after(uint64_t number)
{
	struct timespec now;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return ms > number || number > PK_WORD_NUMBER_MAX ? ms : number + 1;
}

/* Reads the root of a document of our version, and its number. */
static int begin(struct reader *r, const char *text, size_t len, struct pk_json_doc **doc,
		 uint64_t *number)
{
	const struct pk_json_range numbers = { 0, NUMBER_MAX - 1 };
	int64_t version = 0, n = -1;
	const struct pk_json *root;

	if (pk_json_parse("its key", text, len, PK_JSON_NEWER, doc, r->err) < 0)
		return -EINVAL;
	r->doc = *doc;
	root = pk_json_root(*doc);
	if (pk_json_type(root) != PK_JSON_OBJECT)
		return bad(r, root, "no object");
	if (pk_json_get_int(r->doc, root, "version", numbers, &version, r->err) < 0 ||
	    pk_json_get_int(r->doc, root, "number", numbers, &n, r->err) < 0)
		return -EINVAL;
	if (version != PK_SHARE_VERSION)
		return bad(r, root, "of another version than this picketd's");
	if (n < 0)
		return bad(r, root, "without a number");
	*number = (uint64_t)n;
	return 0;
}

/* Finds the list of that name; `what` describes it in the error. */
static int find_list(const struct reader *r, const struct pk_json *object, const char *key,
		     size_t max, const char *what, const struct pk_json **out)
{
	*out = pk_json_get(object, key);
	if (*out && pk_json_type(*out) == PK_JSON_ARRAY && pk_json_count(*out) <= max)
		return 0;
	return bad(r, *out ?: object, what);
}

static int read_address(const struct reader *r, const struct pk_json *v, union pk_addr *out)
{
	const char *text = pk_json_string(v);

	if (!text || pk_addr_parse(text, out) < 0 || pk_addr_is_zero(out) ||
	    (pk_addr_is4(out) && !pk_addr_to4(out)))
		return bad(r, v, "no address");
	return 0;
}

static int read_ports(const struct reader *r, const struct pk_json *ports,
		      struct pk_world_endpoint *ep)
{
	if (pk_json_type(ports) != PK_JSON_OBJECT || pk_json_count(ports) > PK_SHARE_PORTS)
		return bad(r, ports, "no ports by their labels");
	for (const struct pk_json *v = pk_json_first(ports); v; v = pk_json_next(v)) {
		int64_t port;

		if (pk_json_int(v, 1, 65535, &port) < 0 || strlen(pk_json_key(v)) > KEY_MAX)
			return bad(r, v, "no port");
		pk_world_endpoint_add_port(ep, pk_json_key(v), PK_PROTO_ANY, (uint16_t)port);
	}
	return 0;
}

/* Reads labels. The labels of the namespace must be the share's tenant. */
static int read_labels(const struct reader *r, const struct pk_json *v,
		       struct pk_world_endpoint *ep)
{
	const char *text = pk_json_string(v);

	if (!text || pk_label_sets_parse(r->sets, text, &ep->labels, NULL) < 0)
		return bad(r, v, "no label set");
	if (!ep->labels->tenant_name || strcmp(ep->labels->tenant_name, r->tenant_name) != 0)
		return bad(r, v, "labels of another tenant");
	return 0;
}

static int read_addresses(const struct reader *r, const struct pk_json *endpoint,
			  struct pk_world_endpoint *ep)
{
	const struct pk_json *list;

	if (find_list(r, endpoint, "addresses", 2, "at most two addresses", &list) < 0)
		return -EINVAL;
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		union pk_addr addr;

		if (read_address(r, v, &addr) < 0)
			return -EINVAL;
		pk_world_endpoint_add_address(ep, &addr);
	}
	return 0;
}

static int read_endpoint(const struct reader *r, const struct pk_json *v, struct pk_share *out)
{
	const char *id = pk_json_string(pk_json_get(v, "id"));
	const struct pk_json *ports = pk_json_get(v, "ports");
	struct pk_world_endpoint *ep;
	int64_t generation;

	if (!id || !*id || strlen(id) > KEY_MAX ||
	    pk_json_int(pk_json_get(v, "generation"), 0, NUMBER_MAX - 1, &generation) < 0)
		return bad(r, v, "an endpoint without id or generation");
	ep = pk_world_endpoint_new(id);
	pk_share_add(out, ep, (uint64_t)generation);
	if (read_labels(r, pk_json_get(v, "labels") ?: v, ep) < 0)
		return -EINVAL;
	if (ports && read_ports(r, ports, ep) < 0)
		return -EINVAL;
	return read_addresses(r, v, ep);
}

int pk_share_decode(const char *text, size_t len, const char *tenant_name,
		    struct pk_label_sets *sets, struct pk_share *out, struct pk_err *err)
{
	struct reader r = { .tenant_name = tenant_name, .sets = sets, .err = err };
	const struct pk_json *list;
	own_json *doc = NULL;
	int result;

	*out = (struct pk_share){ 0 };
	result = begin(&r, text, len, &doc, &out->number);
	if (result < 0)
		return result;
	if (find_list(&r, pk_json_root(doc), "endpoints", PK_SHARE_ENDPOINTS,
		      "no list of endpoints, or too long a one", &list) < 0)
		return -EINVAL;
	for (const struct pk_json *v = pk_json_first(list); v && result == 0; v = pk_json_next(v))
		result = read_endpoint(&r, v, out);
	if (result < 0)
		pk_share_done(out);
	return result;
}

void pk_node_word_done(struct pk_node_word *word)
{
	free(word->blocks);
	*word = (struct pk_node_word){ 0 };
}

void pk_node_word_encode(const struct pk_node_word *word, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", PK_SHARE_VERSION);
	pk_jw_uint(&w, "number", word->number);
	pk_prefixes_write(&w, "blocks", word->blocks, word->n_blocks);
	pk_addrs_write(&w, "addresses", word->addresses, word->n_addresses);
	pk_jw_close(&w, '}');
}

/*
 * Returns whether the prefix may be a node's block. One so short that it is more likely a typing
 * error is refused.
 */
static bool is_block(const struct pk_prefix *p)
{
	return p->len >= (p->v6 ? 32 : 8);
}

static int read_blocks(const struct reader *r, struct pk_node_word *out)
{
	const struct pk_json *list;

	if (find_list(r, pk_json_root(r->doc), "blocks", PK_NODE_BLOCKS,
		      "no list of blocks, or too long a one", &list) < 0)
		return -EINVAL;
	out->blocks = pk_alloc((pk_json_count(list) + 1) * sizeof(*out->blocks));
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		struct pk_prefix *p = &out->blocks[out->n_blocks++];
		const char *text = pk_json_string(v);

		if (!text || pk_prefix_parse(text, p) < 0 || !is_block(p))
			return bad(r, v, "no block: at least /8, or /32 of IPv6");
		pk_prefix_mask(p);
	}
	return 0;
}

/*
 * Returns whether a node can be reached at the address: not at 0, loopback, link-local, multicast
 * or broadcast.
 */
static bool is_end(const union pk_addr *addr)
{
	const uint8_t *b = addr->b;

	if (pk_addr_is_loopback(addr))
		return false;
	if (pk_addr_is4(addr))
		return b[12] != 0 && b[12] < 224;
	return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static int read_end(const struct reader *r, const struct pk_json *v, union pk_addr *out)
{
	if (read_address(r, v, out) < 0)
		return -EINVAL;
	return is_end(out) ? 0 : bad(r, v, "an address that no node can have");
}

static int read_node_word(const struct reader *r, struct pk_node_word *out)
{
	const struct pk_json *list;

	if (read_blocks(r, out) < 0 ||
	    find_list(r, pk_json_root(r->doc), "addresses", PK_NODE_ADDRESSES,
		      "no list of addresses, or too long a one", &list) < 0)
		return -EINVAL;
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v))
		if (read_end(r, v, &out->addresses[out->n_addresses++]) < 0)
			return -EINVAL;
	return 0;
}

const union pk_addr *pk_node_word_address(const struct pk_node_word *word, bool v6)
{
	for (size_t i = 0; i < word->n_addresses; i++)
		if (pk_addr_is4(&word->addresses[i]) != v6)
			return &word->addresses[i];
	return NULL;
}

int pk_node_word_decode(const char *text, size_t len, struct pk_node_word *out, struct pk_err *err)
{
	struct reader r = { .err = err };
	own_json *doc = NULL;
	int result;

	*out = (struct pk_node_word){ 0 };
	result = begin(&r, text, len, &doc, &out->number);
	if (result == 0)
		result = read_node_word(&r, out);
	if (result < 0)
		pk_node_word_done(out);
	return result;
}

void pk_claim_word_encode(const struct pk_claim_word *word, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "version", PK_SHARE_VERSION);
	pk_jw_uint(&w, "number", word->number);
	pk_jw_string(&w, "node", word->node);
	pk_jw_string(&w, "machine", word->machine);
	if (word->returned)
		pk_jw_int(&w, "returned", word->returned);
	pk_jw_close(&w, '}');
}

static int read_text(const struct reader *r, const struct pk_json *root, const char *key, char *to,
		     size_t room)
{
	const char *text = pk_json_string(pk_json_get(root, key));

	if (!text || !*text || strlen(text) >= room || strchr(text, '/'))
		return bad(r, root, "a claim without node or machine");
	strcpy(to, text);
	return 0;
}

int pk_claim_word_decode(const char *text, size_t len, struct pk_claim_word *out,
			 struct pk_err *err)
{
	const struct pk_json_range times = { 0, NUMBER_MAX - 1 };
	struct reader r = { .err = err };
	const struct pk_json *root;
	own_json *doc = NULL;
	int result;

	*out = (struct pk_claim_word){ 0 };
	result = begin(&r, text, len, &doc, &out->number);
	if (result < 0)
		return result;
	root = pk_json_root(doc);
	if (read_text(&r, root, "node", out->node, sizeof(out->node)) < 0 ||
	    read_text(&r, root, "machine", out->machine, sizeof(out->machine)) < 0)
		return -EINVAL;
	return pk_json_get_int(doc, root, "returned", times, &out->returned, err);
}

void pk_claim_key(const struct pk_prefix *block, struct pk_str *out)
{
	char text[PK_ADDR_TEXT];

	pk_str_addf(out, "%s_%u", pk_addr_format(&block->addr, text), block->len);
}

bool pk_claim_block(const char *part, struct pk_prefix *out)
{
	const char *mark = strchr(part, '_');
	struct pk_prefix masked;
	own_str text = { 0 };

	if (!mark)
		return false;
	pk_str_addn(&text, part, (size_t)(mark - part));
	pk_str_addf(&text, "/%s", mark + 1);
	if (pk_prefix_parse(text.text, out) < 0 || !is_block(out))
		return false;
	masked = *out;
	pk_prefix_mask(&masked);
	return pk_addr_equal(&masked.addr, &out->addr);
}
