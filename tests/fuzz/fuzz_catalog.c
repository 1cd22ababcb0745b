/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a catalogue says of a service. The first byte chooses whose, the second the pieces that it
 * comes in, which change nothing; whatever it says, what counts lies within what is declared.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/catalog_reader.h"
#include "controller/sources/instances.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int read_pieces(bool nomad, const char *text, size_t n, size_t piece,
		       struct pk_instances *out)
{
	struct pk_catalog_reader *reader = pk_catalog_reader_new(nomad);
	int r = 0;

	*out = (struct pk_instances){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_catalog_reader_feed(reader, text + at, n - at < piece ? n - at : piece,
					   NULL);
	if (r == 0)
		r = pk_catalog_reader_end(reader, out, NULL);
	pk_catalog_reader_free(reader);
	return r;
}

static enum pk_instance_state where(void *arg, const struct pk_declared_service *d,
				    const struct pk_instance *said, const union pk_addr *addr,
				    char *why, size_t room)
{
	(void)arg, (void)said, (void)why, (void)room;
	check(pk_declared_service_has(d, addr));
	return PK_INSTANCE_COUNTS;
}

static void judge(const struct pk_instances *all)
{
	struct pk_instance_table *table = pk_alloc(sizeof(*table));
	struct pk_declared_service *d = pk_alloc(sizeof(*d));
	const struct pk_instances none = { 0 };
	struct pk_instance_look look = { .declared = d, .instances = all, .where = where };
	size_t n;

	d->n_within = pk_prefix_parse("10.0.0.0/8", &d->within[0]) == 0;
	pk_instance_table_take(table, &look);
	pk_instance_table_fill(table, d);
	n = d->n_instances;
	check(n <= PK_DECLARED_SERVICE_INSTANCES && n <= all->n);
	for (size_t i = 0; i < n; i++)
		check(pk_declared_service_has(d, &d->instances[i]));
	look.instances = &none;
	pk_instance_table_take(table, &look);
	pk_instance_table_fill(table, d);
	check(d->n_instances == (n > 1 ? n : 0));
	free(table);
	free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 2;
	struct pk_instances whole, pieces;
	int r;

	if (size < 2)
		return 0;
	r = read_pieces(data[0] & 1, text, size - 2, size, &whole);
	check(read_pieces(data[0] & 1, text, size - 2, data[1] + 1u, &pieces) == r);
	check(whole.n == pieces.n);
	for (size_t i = 0; i < whole.n; i++)
		check(strcmp(whole.list[i].address, pieces.list[i].address) == 0 &&
		      whole.list[i].health == pieces.list[i].health);
	if (r == 0)
		judge(&whole);
	pk_instances_done(&whole);
	pk_instances_done(&pieces);
	return 0;
}
