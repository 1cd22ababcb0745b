/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Features of a link by name (ethtool): what the kernel must have finished before the guard looks.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "own.h"
#include "tap.h"

#define FEATURES_MAX 256
#define BLOCKS_MAX   (FEATURES_MAX / 32)

struct features {
	int fd;
	const char *link;
	unsigned int n;
	char name[FEATURES_MAX][ETH_GSTRING_LEN];
};

static int query(const struct features *f, void *arg)
{
	struct ifreq req = { .ifr_data = arg };

	strncpy(req.ifr_name, f->link, IFNAMSIZ - 1);
	return ioctl(f->fd, SIOCETHTOOL, &req) < 0 ? -errno : 0;
}

/* Whatever leaves work to a later device: checksums, segmentation. */
static bool is_offload(const char *name)
{
	return !strncmp(name, "tx-checksum-", 12) || !strncmp(name, "tx-gso-", 7) ||
	       (!strncmp(name, "tx-", 3) && strstr(name, "segmentation"));
}

static int read_count(struct features *f)
{
	own_mem struct ethtool_sset_info *info = pk_alloc(sizeof(*info) + sizeof(info->data[0]));
	int r;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = 1ull << ETH_SS_FEATURES;
	r = query(f, info);
	if (r < 0)
		return r;
	f->n = info->data[0] < FEATURES_MAX ? info->data[0] : FEATURES_MAX;
	return 0;
}

static int read_names(struct features *f)
{
	own_mem struct ethtool_gstrings *strings = NULL;
	int r = read_count(f);

	if (r < 0)
		return r;
	strings = pk_alloc(sizeof(*strings) + (size_t)FEATURES_MAX * ETH_GSTRING_LEN);
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = f->n;
	r = query(f, strings);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < f->n; i++)
		memcpy(f->name[i], strings->data + (size_t)i * ETH_GSTRING_LEN,
		       ETH_GSTRING_LEN - 1);
	return 0;
}

static int open_features(struct features *f, const char *link, struct pk_err *err)
{
	int r;

	memset(f, 0, sizeof(*f));
	f->link = link;
	f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = f->fd < 0 ? -errno : read_names(f);
	return r < 0 ? pk_code(err, pk_fail(err, -r, "features of %s", link), PK_CODE_KERNEL) : 0;
}

static void close_features(struct features *f)
{
	pk_own_fd_(&f->fd);
}

static int turn_off(const struct features *f)
{
	own_mem struct ethtool_sfeatures *set =
		pk_alloc(sizeof(*set) + BLOCKS_MAX * sizeof(struct ethtool_set_features_block));

	set->cmd = ETHTOOL_SFEATURES;
	set->size = (f->n + 31) / 32;
	for (unsigned int i = 0; i < f->n; i++)
		if (is_offload(f->name[i]))
			set->features[i / 32].valid |= 1u << i % 32;
	return query(f, set);
}

static int first_on(const struct features *f, struct pk_err *err)
{
	own_mem struct ethtool_gfeatures *get =
		pk_alloc(sizeof(*get) + BLOCKS_MAX * sizeof(struct ethtool_get_features_block));
	int r;

	get->cmd = ETHTOOL_GFEATURES;
	get->size = (f->n + 31) / 32;
	r = query(f, get);
	if (r < 0)
		return pk_code(err, pk_fail(err, -r, "features of %s", f->link), PK_CODE_KERNEL);
	for (unsigned int i = 0; i < f->n; i++)
		if (is_offload(f->name[i]) && get->features[i / 32].active & 1u << i % 32)
			return pk_code(err,
				       pk_fail(err, 0, "link %s: %s is on, and would hide packets",
					       f->link, f->name[i]),
				       PK_CODE_KERNEL);
	return 0;
}

int pk_offload_check(const char *link, struct pk_err *err)
{
	PK_OWN(close_features) struct features f = { .fd = -1 };
	int r = open_features(&f, link, err);

	return r < 0 ? r : first_on(&f, err);
}

/*
 * The kernel's own answer to the request (it may refuse single bits) counts for nothing: read back.
 */
int pk_offload_off(const char *link, struct pk_err *err)
{
	PK_OWN(close_features) struct features f = { .fd = -1 };
	int r = open_features(&f, link, err);

	if (r < 0)
		return r;
	r = turn_off(&f);
	if (r < 0)
		return pk_code(err, pk_fail(err, -r, "offloads of %s", link), PK_CODE_KERNEL);
	return first_on(&f, err);
}
