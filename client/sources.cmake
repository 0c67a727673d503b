# The client's library: everything but main.c.
set(CLIENT_SOURCES
    client/arena.c client/batches.c client/cmd_cancel.c client/cmd_get.c client/cmd_health.c client/cmd_hosts.c
    client/cmd_keygen.c client/cmd_results.c
    client/cmd_retry.c client/cmd_rm.c client/cmd_status.c client/cmd_submit.c client/cmd_wait.c
    client/cmd_workers.c client/commands.c client/dial.c client/embed.c client/feed.c client/format.c
    client/input.c client/json.c client/keypair.c client/list.c client/options.c client/output.c
    client/progress.c client/pull.c client/refusal.c client/remote.c client/say.c
    client/session.c client/signals.c client/text.c client/waiting.c client/watch.c
    client/wishes.c)
