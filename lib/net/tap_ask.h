/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The messages on the socket where host taps are handed over: one SOCK_SEQPACKET message each way,
 * JSON, the answer's with the descriptors of the tap's queues (SCM_RIGHTS).
 */
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "picket/limits.h"
#include "str.h"

#define PK_TAP_MESSAGE_MAX 2048 /* bytes of a message */
#define PK_TAP_QUEUES_MAX  16

/*
 * endpoint: a container id, "<container id>@<ifname>" or a device's name; "": the endpoint of the
 * netns that the asker is in.
 */
struct pk_tap_question {
	char endpoint[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
};

struct pk_tap_answer {
	char device[16];
	uint8_t mac[6]; /* that the guest must have */
	uint32_t mtu, queues;
	int fd[PK_TAP_QUEUES_MAX]; /* -1 = none */
};

/* Strict; nothing of the text is kept. */
int pk_tap_question_read(const char *text, size_t len, struct pk_tap_question *question,
			 struct pk_err *err);
/* Writes a refusal with err's text and fix. later: asking again in a moment may help. */
void pk_tap_refusal_write(struct pk_str *out, const struct pk_err *err, bool later);
void pk_tap_answer_write(struct pk_str *out, const struct pk_tap_answer *answer);

/*
 * Asks picketd, which must answer before deadline_ns (CLOCK_MONOTONIC). -EAGAIN: nobody is there
 * now, or it was told to come again; other -errno: refused.
 */
int pk_tap_ask(const char *socket, const struct pk_tap_question *question, uint64_t deadline_ns,
	       struct pk_tap_answer *answer, struct pk_err *err);
void pk_tap_answer_done(struct pk_tap_answer *answer);
#define own_tap_answer PK_OWN(pk_tap_answer_done) struct pk_tap_answer
