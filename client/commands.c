#include "client/commands.h"

#include <stddef.h>

const struct command commands[] = {
    {"get", "fetch URLs and print their digests (also without its name)",
     cmd_get, &cmd_get_program},
    {"submit", "hand a list to a broker and print the batch's id", cmd_submit,
     &cmd_submit_program},
    {"status", "how far a batch is; without BATCH: all batches", cmd_status,
     &cmd_status_program},
    {"results", "print what a batch has so far, or --follow it to its end",
     cmd_results, &cmd_results_program},
    {"wait", "wait until a batch is finished", cmd_wait, &cmd_wait_program},
    {"retry", "queue a batch's failed URLs again", cmd_retry,
     &cmd_retry_program},
    {"cancel", "cancel a batch", cmd_cancel, &cmd_cancel_program},
    {"rm", "remove finished batches and their results", cmd_rm,
     &cmd_rm_program},
    {"workers", "which fetchers and hashers a broker has", cmd_workers,
     &cmd_workers_program},
    {"hosts", "which hosts are closed, down or at their limit, and why",
     cmd_hosts, &cmd_hosts_program},
    {"health", "ask a daemon whether it is ready (its --http)", cmd_health,
     &cmd_health_program},
    {"keygen", "make a key pair for a broker, a worker or a client", cmd_keygen,
     &cmd_keygen_program},
    {NULL, NULL, NULL, NULL},
};
