/* SPDX-License-Identifier: Apache-2.0 */
#include "xfrm.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <stdbool.h>

#include "nl_batch.h"

static void see_policy(void *arg, struct nlmsghdr *h)
{
	if (h->nlmsg_type == XFRM_MSG_NEWPOLICY)
		*(bool *)arg = true;
}

static void see_default(void *arg, struct nlmsghdr *h)
{
	const struct xfrm_userpolicy_default *by = nlmsg_data(h);

	if (nlmsg_datalen(h) >= (int)sizeof(*by) &&
	    (by->in == XFRM_USERPOLICY_BLOCK || by->out == XFRM_USERPOLICY_BLOCK))
		*(bool *)arg = true;
}

/*
 * A dump has the policies of every type. Before Linux 5.15 there is no other default than to pass.
 */
int pk_xfrm_has_policy(void)
{
	const struct xfrm_userpolicy_default by = { 0 };
	const struct xfrm_userpolicy_id id = { 0 };
	bool found = false;
	own_nl *nl = NULL;
	int r = pk_nl_open_xfrm(&nl);

	if (r == -EPROTONOSUPPORT)
		return 0; /* this kernel knows no IPsec */
	if (r == 0)
		r = pk_nl_ask(nl, pk_nl_message(XFRM_MSG_GETPOLICY, NLM_F_DUMP, &id, sizeof(id)),
			      see_policy, &found);
	if (r < 0 || found)
		return r < 0 ? r : 1;
	r = pk_nl_ask(nl, pk_nl_message(XFRM_MSG_GETDEFAULT, 0, &by, sizeof(by)), see_default,
		      &found);
	if (r < 0 && r != -EINVAL)
		return r;
	return found;
}
