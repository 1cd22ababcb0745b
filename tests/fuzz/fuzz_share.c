/* SPDX-License-Identifier: Apache-2.0 */
/* What another node may write in Consul: read whole or not at all; what is read is written alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "share.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_share(const char *text, size_t size)
{
	struct pk_label_sets *sets = pk_label_sets_new();
	struct pk_share share, again;
	own_str once = { 0 }, twice = { 0 };
	struct pk_err err = { 0 };

	if (pk_share_decode(text, size, "acme", sets, &share, &err) < 0) {
		check(*err.text && !share.n);
		pk_label_sets_free(sets);
		return;
	}
	pk_share_encode(&share, &once);
	check(pk_share_decode(once.text, once.len, "acme", sets, &again, &err) == 0);
	check(again.n == share.n && again.number == share.number);
	for (size_t i = 0; i < again.n; i++)
		check(strcmp(again.list[i].ep->labels->tenant_name, "acme") == 0);
	pk_share_encode(&again, &twice);
	check(once.len == twice.len);
	pk_share_done(&share);
	pk_share_done(&again);
	pk_label_sets_tidy(sets);
	check(!pk_label_sets_count(sets));
	pk_label_sets_free(sets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	PK_OWN(pk_node_word_done) struct pk_node_word word = { 0 };
	struct pk_claim_word claim;
	struct pk_err err = { 0 };

	check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_share(text, size);
	if (pk_node_word_decode(text, size, &word, &err) == 0)
		check(word.n_blocks <= PK_NODE_BLOCKS && word.n_addresses <= PK_NODE_ADDRESSES);
	if (pk_claim_word_decode(text, size, &claim, &err) == 0)
		check(*claim.node && *claim.machine && claim.returned >= 0);
	free(text);
	return 0;
}
