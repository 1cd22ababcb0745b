/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Nomad says of its Variables. The first byte chooses what is read: a path, a list that comes
 * in pieces (the second byte's; they change nothing), a variable, the nodes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "vars.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A path is one key's, and that key has no other path. */
static void read_path(const char *text)
{
	own_str key = { 0 }, path = { 0 };

	if (pk_vars_key(text, &key) < 0)
		return;
	if (pk_vars_path(key.text ?: "", &path, NULL) == 0)
		check(strcmp(path.text ?: "", text) == 0);
}

struct sum {
	size_t n;
	uint64_t of;
};

static void add_name(void *arg, const struct pk_var_name *name)
{
	struct sum *sum = arg;

	check(name->namespace && name->path && name->modified);
	sum->n++;
	sum->of = sum->of * 31 + strlen(name->namespace) * 7 + strlen(name->path) + name->modified;
}

static int read_list(const char *text, size_t n, size_t piece, struct sum *sum)
{
	struct pk_vars_reader *reader = pk_vars_reader_new(add_name, sum);
	int r = 0;

	*sum = (struct sum){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_vars_reader_feed(reader, text + at, n - at < piece ? n - at : piece, NULL);
	if (r == 0)
		r = pk_vars_reader_end(reader, NULL);
	pk_vars_reader_free(reader);
	return r;
}

typedef int reads_fn(const char *text, size_t n, size_t piece, struct sum *sum);

/* A text is read alike in one piece and in many. */
static void read_both_ways(reads_fn *reads, const char *text, size_t n, size_t piece)
{
	struct sum whole, pieces;
	int r = reads(text, n, n + 1, &whole);

	check(reads(text, n, piece, &pieces) == r);
	check(r < 0 || (whole.n == pieces.n && whole.of == pieces.of));
}

/* What is written of what was read is read as the same. */
static void read_variable(const char *text, size_t n)
{
	PK_OWN(pk_var_done) struct pk_var var = { 0 }, again = { 0 };
	own_str body = { 0 }, whole = { 0 };

	if (pk_var_decode(text, n, PK_VARS_VALUE, &var, NULL) < 0 || !var.value)
		return;
	pk_var_encode(PK_VARS_VALUE, var.value, var.node, &body);
	pk_str_addf(&whole, "{\"CreateIndex\":1,\"ModifyIndex\":1,%s", body.text + 1);
	check(pk_var_decode(whole.text, whole.len, PK_VARS_VALUE, &again, NULL) == 0);
	check(strcmp(var.value, again.value) == 0);
	check(!var.node == !again.node && (!var.node || strcmp(var.node, again.node) == 0));
}

static void add_node(void *arg, const char *id, bool ready)
{
	struct sum *sum = arg;

	sum->n++;
	sum->of = sum->of * 31 + strlen(id) * 2 + ready;
}

static int read_nodes(const char *text, size_t n, size_t piece, struct sum *sum)
{
	struct pk_vars_nodes *reader = pk_vars_nodes_new(add_node, sum);
	int r = 0;

	*sum = (struct sum){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_vars_nodes_feed(reader, text + at, n - at < piece ? n - at : piece, NULL);
	if (r == 0)
		r = pk_vars_nodes_end(reader, NULL);
	pk_vars_nodes_free(reader);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_mem char *text = NULL;

	if (size < 2)
		return 0;
	text = strndup((const char *)data + 2, size - 2);
	switch (data[0] % 4) {
	case 0:
		read_path(text);
		break;
	case 1:
		read_both_ways(read_list, (const char *)data + 2, size - 2, data[1] + 1u);
		break;
	case 2:
		read_variable((const char *)data + 2, size - 2);
		break;
	default:
		read_both_ways(read_nodes, (const char *)data + 2, size - 2, data[1] + 1u);
	}
	return 0;
}
