// Origins in the scheduler: closed, parked, given up; limits of groups.
#include "schedule_scene.h"

static uint64_t
now(const struct scene *scene)
{
    return loop_now_ms(scene->broker->loop);
}

// The first job of that host in the fetcher's hands.
static struct job *
job_at(const struct scene *scene, const struct origin *origin)
{
    struct job *job;

    DL_FOREACH2(scene->fetcher.session->jobs, job, fetcher_next)
    {
        if (job->flow->origin == origin)
            break;
    }
    assert_non_null(job);
    return job;
}

// A job of that host ends where a redirect has led it.
static void
end_led(struct scene *scene, const struct origin *from, const char *to,
        enum fail outcome)
{
    struct job *job = job_at(scene, from);
    struct wire_fetched item = {
        .job = job->id, .attempt = job->attempt, .outcome = outcome};
    const struct life_info info = {.from = scene->fetcher.session,
                                   .outcome = outcome,
                                   .due_ms = now(scene)};

    wire_facts_init(&item.facts);
    item.facts.redirects = 1;
    item.facts.connect_us = 1000; // of the host that sent it there
    item.facts.final_url = (struct wire_bytes){to, strlen(to)};
    hosts_on_fetched(scene->broker, job, &item);
    assert_int_equal(life_apply(scene->broker, job, EV_FAILED_HARD, &info), 0);
}

// What hosts.c hears of the first job in the fetcher's hands, and its end.
static void
end_one(struct scene *scene, enum fail outcome, uint64_t status,
        uint64_t retry_after_s)
{
    struct job *job = scene->fetcher.session->jobs;
    struct wire_fetched item = {
        .job = job->id, .attempt = job->attempt, .outcome = outcome};
    struct life_info info = {.from = scene->fetcher.session,
                             .outcome = outcome,
                             .due_ms = now(scene)};

    assert_non_null(job);
    wire_facts_init(&item.facts);
    if (status)
        item.facts.http_status = status;
    item.facts.retry_after_s = retry_after_s;
    hosts_on_fetched(scene->broker, job, &item);
    if (outcome == FAIL_OK)
        finish_one(scene, &scene->fetcher);
    else
        assert_int_equal(life_apply(scene->broker, job, EV_FAILED_SOFT, &info),
                         0);
}

static struct origin *
origin_at(struct scene *scene, uint64_t host)
{
    char text[64];
    uint64_t number;
    int len =
        snprintf(text, sizeof(text), "http://h%" PRIu64 ".example/", host);
    struct origin *origin;

    assert_int_equal(origin_parse(scene->broker->origin_parser, text,
                                  (size_t)len, &number, NULL),
                     FAIL_OK);
    HASH_FIND(hh, scene->broker->hosts.origins, &number, sizeof(number),
              origin);
    assert_non_null(origin);
    return origin;
}

// As if so much time had passed: deadlines come nearer.
static void
pass(struct scene *scene, struct origin *origin, uint64_t ms)
{
    struct politeness *politeness = &origin->politeness;

    if (politeness->closed_until_ms)
        politeness->closed_until_ms -= ms;
    if (politeness->closed_ms)
        politeness->closed_ms -= ms;
    if (politeness->parked_since_ms) {
        politeness->parked_since_ms -= ms;
        politeness->parked_ms -= ms;
        politeness->parked_until_ms -= ms;
    }
    heap_remove(&scene->broker->hosts.origins_due, &origin->due);
    assert_int_equal(
        heap_push(&scene->broker->hosts.origins_due, &origin->due, now(scene)),
        0);
}

static void
test_closed_for_all_batches(void **state)
{
    struct scene *scene = scene_new(4, 100);
    struct batch *a = world_add_batch(scene->world, "a", "sha512", NULL);
    struct batch *b = world_add_batch(scene->world, "b", "sha512", NULL);
    struct origin *closed;

    (void)state;
    world_append(scene->world, a, 40, 2);
    world_settle(scene->world);
    closed = scene->fetcher.session->jobs->flow->origin;
    end_one(scene, FAIL_HTTP, 429, 30);
    world_append(scene->world, b, 40, 2);
    // All others are done, and nothing of it but what was under way.
    while (scene->fetcher.session->jobs) {
        (void)finish_leases(scene, &scene->fetcher);
        world_settle(scene->world);
    }
    assert_int_equal(closed->running, 0);
    assert_true(hosts_run(scene->broker) <= closed->politeness.closed_until_ms);
    assert_int_equal(a->landed, 20 + 3);
    assert_int_equal(b->landed, 20);
    // It opens: one goes first, then as many as ever.
    pass(scene, closed, 30000);
    world_settle(scene->world);
    assert_int_equal(closed->running, 1);
    world_settle(scene->world);
    assert_int_equal(closed->running, 1);
    end_one(scene, FAIL_OK, 200, UINT64_MAX);
    world_settle(scene->world);
    assert_int_equal(closed->running, 4);
    (void)drain(scene);
    assert_int_equal(a->landed + b->landed, 80);
    scene_free(scene);
}

static void
say_connected(struct scene *scene, const struct job *job, uint32_t attempt)
{
    const struct wire_vouched item = {job->id, attempt};
    const struct wire_message message = {.kind = WIRE_CONNECTED,
                                         .connected = {&item, 1}};

    hosts_on_connected(scene->broker, scene->fetcher.session, &message);
    world_settle(scene->world);
}

// Two try a host that nobody knows; a connection, or the first bytes, are all
// that the others wait for.
static void
test_two_go_first(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct origin *origins[3];

    (void)state;
    scene->world->has_new_hosts = true;
    world_append(scene->world, batch, 90, 3);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 6);
    for (uint64_t i = 0; i < 3; i++) {
        origins[i] = origin_at(scene, i);
        assert_int_equal(origins[i]->running, 2);
    }
    // Of an attempt before this one it says nothing.
    say_connected(scene, scene->fetcher.session->jobs,
                  scene->fetcher.session->jobs->attempt - 1);
    assert_int_equal(scene->fetcher.session->jobs_len, 6);
    say_connected(scene, scene->fetcher.session->jobs,
                  scene->fetcher.session->jobs->attempt);
    assert_int_equal(scene->fetcher.session->jobs_len, 12);
    assert_int_equal(scene->fetcher.session->jobs->flow->origin->running, 8);
    for (int i = 0; i < 3; i++)
        hosts_on_bytes(scene->broker, job_at(scene, origins[i]));
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 24);
    assert_int_equal(drain(scene), 90);
    scene_free(scene);
}

// Who ends without having found it makes room for another one who tries.
static void
test_two_at_a_time(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct origin *origin;

    (void)state;
    scene->world->has_new_hosts = true;
    world_append(scene->world, batch, 30, 1);
    world_settle(scene->world);
    origin = origin_at(scene, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(origin->running, 2);
        end_one(scene, FAIL_CONNECT, 0, UINT64_MAX);
        assert_int_equal(origin->running, 1);
        world_settle(scene->world);
    }
    assert_int_equal(origin->failed, 4);
    assert_int_equal(origin->politeness.failures, 4);
    // The fifth parks it.
    end_one(scene, FAIL_CONNECT, 0, UINT64_MAX);
    world_settle(scene->world);
    assert_int_equal(origin->running, 1);
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    scene_free(scene);
}

// What a redirect's host says is nothing of the host that it leads to, whose
// own URLs are tried as before.
static void
test_led_to_a_new_host(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct origin *from, *to;

    (void)state;
    scene->world->has_new_hosts = true;
    world_append(scene->world, batch, 40, 2);
    world_settle(scene->world);
    from = origin_at(scene, 0);
    to = origin_at(scene, 1);
    assert_int_equal(to->running, 2);
    end_led(scene, from, "http://h1.example/x", FAIL_CONNECT);
    assert_true(from->politeness.is_reached);
    assert_false(to->politeness.is_reached);
    assert_int_equal(to->politeness.failures, 1);
    end_led(scene, from, "http://h1.example/x", FAIL_TIMEOUT);
    assert_false(to->politeness.is_reached);
    assert_int_equal(to->politeness.silences, 1);
    world_settle(scene->world);
    assert_int_equal(from->running, 8);
    hosts_on_bytes(scene->broker, job_at(scene, to));
    world_settle(scene->world);
    assert_int_equal(to->running, 8);
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    scene_free(scene);
}

// The probe's worker is lost: another one goes.
static void
test_probe_is_lost(void **state)
{
    struct scene *scene = scene_new(4, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    const struct life_info info = {.reason = WIRE_ABORT_STALE};
    struct origin *origin;
    uint64_t first;

    (void)state;
    world_append(scene->world, batch, 20, 1);
    world_settle(scene->world);
    origin = origin_at(scene, 0);
    end_one(scene, FAIL_HTTP, 503, 5);
    (void)finish_leases(scene, &scene->fetcher);
    pass(scene, origin, 5000);
    world_settle(scene->world);
    assert_int_equal(origin->running, 1);
    first = scene->fetcher.session->jobs->id;
    (void)life_apply(scene->broker, scene->fetcher.session->jobs, EV_LEASE_LOST,
                     &info);
    world_settle(scene->world);
    assert_int_equal(origin->running, 1);
    assert_true(scene->fetcher.session->jobs->id == first);
    assert_true(scene->fetcher.session->jobs->is_probe);
    // Its body's first bytes say enough.
    hosts_on_bytes(scene->broker, scene->fetcher.session->jobs);
    world_settle(scene->world);
    assert_int_equal(origin->running, 4);
    scene_free(scene);
}

static void
test_given_up(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;
    struct origin *origin;
    struct store_results page = {
        .op = {.kind = STORE_RESULTS}, .max = 3000, .bytes_max = 1 << 22};
    size_t down = 0;

    (void)state;
    scene->world->config.give_up_ms = 60000;
    batch = world_add_batch(scene->world, "a", "sha512", NULL);
    world_append(scene->world, batch, 3000, 1);
    world_settle(scene->world);
    origin = origin_at(scene, 0);
    for (int i = 0; i < 8; i++)
        end_one(scene, FAIL_CONNECT, 0, UINT64_MAX);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 0);
    assert_int_equal(batch->landed, 0);
    // A pause is over, and another one; then it is given up.
    pass(scene, origin, 5500);
    world_settle(scene->world);
    assert_int_equal(origin->running, 1);
    end_one(scene, FAIL_CONNECT, 0, UINT64_MAX);
    origin->politeness.parked_until_ms += 60000; // a long one
    pass(scene, origin, 60000);
    world_close_batch(scene->world, batch);
    page.batch = batch->number;
    do {
        world_settle(scene->world);
        (void)schedule_run_retries(scene->broker);
    } while (scene->broker->batches.len);
    world_run_op(scene->world, &page.op);
    assert_int_equal(page.len, 3000);
    for (size_t i = 0; i < page.len; i++) {
        assert_int_equal(page.records[i].outcome, FAIL_HOST_DOWN);
        down += page.records[i].tries == 0;
        assert_true(page.records[i].facts_len > 0);
    }
    // Charged is who was tried.
    assert_true(down >= 3000 - 9);
    store_results_fini(&page);
    // What is known of it outlives the work.
    assert_int_equal(scene->broker->hosts.figures.kept, 1);
    assert_int_equal(scene->broker->hosts.figures.given_up_total, 1);
    scene_free(scene);
}

// Who waits for hours holds no memory; and comes back whole, in order.
static void
test_waiting_is_unloaded(void **state)
{
    struct scene *scene = scene_new(4, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct origin *origin;

    (void)state;
    world_append(scene->world, batch, 3000, 1);
    for (int i = 0; i < 100; i++) { // its pages grow
        world_settle(scene->world);
        (void)finish_leases(scene, &scene->fetcher);
    }
    world_settle(scene->world);
    assert_true(scene->broker->jobs.len > 16);
    origin = origin_at(scene, 0);
    end_one(scene, FAIL_HTTP, 429, 3600);
    (void)finish_leases(scene, &scene->fetcher);
    world_settle(scene->world);
    assert_in_range(scene->broker->jobs.len, 1, 16);
    pass(scene, origin, 3600000);
    world_close_batch(scene->world, batch);
    (void)drain(scene);
    check_drained(scene, 1, 3000);
    scene_free(scene);
}

// --- What is remembered ---

static void
test_kept_and_forgotten(void **state)
{
    struct scene *scene = scene_new(4, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct origin *origin;

    (void)state;
    world_append(scene->world, batch, 2, 2);
    world_settle(scene->world);
    origin = scene->fetcher.session->jobs->flow->origin;
    end_one(scene, FAIL_HTTP, 429, 60);
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    assert_int_equal(HASH_COUNT(scene->broker->hosts.origins), 1);
    assert_int_equal(origin->flows_len, 0);
    assert_int_equal(scene->broker->hosts.figures.kept, 1);
    // A new batch finds it closed.
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 2, 2);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 1);
    assert_int_equal(scene->broker->hosts.figures.kept, 0);
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    pass(scene, origin, 60000);
    world_settle(scene->world);
    assert_null(scene->broker->hosts.origins);
    assert_null(scene->broker->hosts.groups);
    assert_int_equal(scene->broker->hosts.figures.kept, 0);
    scene_free(scene);
}

static void
test_kept_are_bounded(void **state)
{
    struct scene *scene = scene_new(4, 100);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);

    (void)state;
    world_append(scene->world, batch, 1, 1);
    world_settle(scene->world);
    scene->broker->hosts.figures.kept = HOSTS_KEPT_MAX;
    end_one(scene, FAIL_HTTP, 429, 60);
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    assert_null(scene->broker->hosts.origins);
    assert_int_equal(scene->broker->hosts.figures.kept, HOSTS_KEPT_MAX);
    scene_free(scene);
}

// --- Groups ---

static struct scene *
scene_of_groups(const char *group_by, int64_t parallel_max_host, int64_t rate)
{
    struct scene *scene = scene_new(parallel_max_host, 1000);

    hosts_fini(scene->broker);
    scene->world->config.group_by = group_by;
    scene->world->config.rate = rate;
    scene->broker->hosts = (struct hosts){0};
    assert_int_equal(hosts_init(scene->broker), 0);
    return scene;
}

// Many origins and batches, one limit; nobody is forgotten in the line.
static void
test_domain_is_one_limit(void **state)
{
    struct scene *scene = scene_of_groups("domain", 3, 0);
    struct batch *batches[3];
    const char *ids[] = {"a", "b", "c"};
    size_t done = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        batches[i] = world_add_batch(scene->world, ids[i], "sha512", NULL);

        world_append_at(scene->world, batches[i], 300, 50, ".h.example");
    }
    load_only(scene);
    assert_int_equal(HASH_COUNT(scene->broker->hosts.groups), 1);
    assert_int_equal(HASH_COUNT(scene->broker->hosts.origins), 50);
    world_settle(scene->world);
    while (scene->fetcher.session->jobs) {
        size_t running = scene->fetcher.session->jobs_len;

        assert_int_equal(running, 900 - done < 3 ? 900 - done : 3);
        finish_one(scene, &scene->fetcher);
        done++;
        world_settle(scene->world);
    }
    assert_int_equal(done, 900);
    scene_free(scene);
}

// A batch that cannot be served does not keep the slots from others.
static void
test_line_passes_by(void **state)
{
    struct scene *scene = scene_of_groups("domain", 2, 0);
    struct batch *stuck =
        world_add_batch(scene->world, "a", "blake2b512", NULL);
    struct batch *batch = world_add_batch(scene->world, "b", "sha512", NULL);
    size_t done = 0;

    (void)state;
    world_append_at(scene->world, stuck, 100, 20, ".h.example");
    world_append_at(scene->world, batch, 100, 20, ".h.example");
    world_settle(scene->world);
    while (scene->fetcher.session->jobs) {
        finish_one(scene, &scene->fetcher);
        done++;
        world_settle(scene->world);
    }
    assert_int_equal(done, 100);
    batch_cancel(scene->broker, stuck);
    world_settle(scene->world);
    scene_free(scene);
}

// The answer tells the address: from then on its limit holds for both hosts.
static void
test_address_is_learnt(void **state)
{
    struct scene *scene = scene_of_groups("ip", 2, 0);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    struct job *job, *next;

    (void)state;
    world_append(scene->world, batch, 40, 2);
    world_settle(scene->world);
    assert_int_equal(HASH_COUNT(scene->broker->hosts.groups), 2);
    assert_int_equal(scene->fetcher.session->jobs_len, 4);
    DL_FOREACH_SAFE2(scene->fetcher.session->jobs, job, next, fetcher_next)
    {
        struct wire_fetched item = {.outcome = FAIL_OK};

        wire_facts_init(&item.facts);
        item.facts.http_status = 200;
        item.facts.remote = (struct wire_bytes){"192.0.2.1:80", 12};
        hosts_on_fetched(scene->broker, job, &item);
    }
    assert_int_equal(HASH_COUNT(scene->broker->hosts.groups), 1);
    assert_int_equal(scene->broker->hosts.groups->running, 4);
    (void)finish_leases(scene, &scene->fetcher);
    assert_int_equal(scene->broker->hosts.groups->running, 0);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 2);
    assert_int_equal(drain(scene), 36);
    scene_free(scene);
}

// --- Rate ---

static void
test_rate(void **state)
{
    // Two a second, of both origins of the domain together.
    struct scene *scene = scene_of_groups("domain", 8, 2 * 3600 * 1000);
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);
    uint64_t due_ms;

    (void)state;
    world_append_at(scene->world, batch, 20, 2, ".h.example");
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 1);
    due_ms = hosts_run(scene->broker);
    assert_in_range(due_ms, now(scene) + 400, now(scene) + 500);
    (void)finish_leases(scene, &scene->fetcher);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 0);
    // Its time comes.
    for (uint64_t i = 1; i <= 5; i++) {
        struct group *group = scene->broker->hosts.groups;

        group->next_ns = now(scene) * 1000000;
        heap_remove(&scene->broker->hosts.groups_due, &group->due);
        assert_int_equal(heap_push(&scene->broker->hosts.groups_due,
                                   &group->due, now(scene)),
                         0);
        world_settle(scene->world);
        assert_int_equal(scene->fetcher.session->jobs_len, i);
    }
    scene_free(scene);
}

// Above a hundred a second the clock's grain lets some through at once.
static void
test_high_rate(void **state)
{
    struct scene *scene = scene_of_groups("origin", 100, INT64_C(3600000000));
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);

    (void)state;
    world_append(scene->world, batch, 100, 1);
    world_settle(scene->world);
    assert_in_range(scene->fetcher.session->jobs_len, 10, 100);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_for_all_batches),
        cmocka_unit_test(test_two_go_first),
        cmocka_unit_test(test_two_at_a_time),
        cmocka_unit_test(test_led_to_a_new_host),
        cmocka_unit_test(test_probe_is_lost),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_waiting_is_unloaded),
        cmocka_unit_test(test_kept_and_forgotten),
        cmocka_unit_test(test_kept_are_bounded),
        cmocka_unit_test(test_domain_is_one_limit),
        cmocka_unit_test(test_line_passes_by),
        cmocka_unit_test(test_address_is_learnt),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_high_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
