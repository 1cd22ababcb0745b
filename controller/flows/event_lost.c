/* SPDX-License-Identifier: Apache-2.0 */
#include "event_lost.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "picket/limits.h"
#include "str.h"

struct account {
	uint64_t whose[2]; /* hash of the key of the endpoint that has the slot */
	struct pk_event_lost lost;
};

struct pk_event_losses {
	struct account slots[PK_CAPACITY_MAX + 1];
};

struct pk_event_losses *pk_event_losses_new(void)
{
	return pk_alloc(sizeof(struct pk_event_losses));
}

void pk_event_losses_free(struct pk_event_losses *losses)
{
	free(losses);
}

struct pk_event_lost *pk_event_losses_of(struct pk_event_losses *losses, uint32_t slot,
					 const char *key)
{
	struct account *a = &losses->slots[slot % PK_ARRAY_LEN(losses->slots)];
	uint64_t whose[2] = { 0 };

	if (key)
		pk_hash128(key, strlen(key), whose);
	if (memcmp(a->whose, whose, sizeof(whose)) != 0) {
		*a = (struct account){ 0 };
		memcpy(a->whose, whose, sizeof(whose));
	}
	return &a->lost;
}
