#include "broker/relay.h"

#include "broker/agree.h"
#include "broker/facts.h"
#include "broker/hosts.h"
#include "broker/lease.h"
#include "broker/life.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "broker/suspects.h"
#include "broker/window.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// --- Leases that end badly ---

static void
lose_lease(struct broker *broker, struct job *job, const struct session *from,
           enum wire_abort reason, bool is_charged)
{
    struct life_info info = {
        .from = from, .reason = reason, .outcome = FAIL_WORKER_LOST};

    if (is_charged && job_is_suspect(job))
        suspects_on_lost(broker, job, from);
    if (is_charged)
        job->lost++;
    // Charged with FETCHED; but it did not come to its end, nor did it fail.
    if (job->state == JOB_HASHING)
        job->tries--;
    (void)life_apply(broker, job,
                     is_charged && job_is_convicted(job) ? EV_FAILED_HARD
                                                         : EV_LEASE_LOST,
                     &info);
}

void
relay_take_back(struct broker *broker, struct job *job)
{
    lose_lease(broker, job, NULL, WIRE_ABORT_STALE, true);
}

void
relay_give_back(struct broker *broker, struct job *job)
{
    lose_lease(broker, job, NULL, WIRE_ABORT_STALE, false);
}

void
relay_lose_leases(struct broker *broker, struct session *session)
{
    // A hasher takes bodies in their order: those that still waited before it
    // have nothing to do with its end.
    uint64_t begun = session->taken + WIRE_UNTOLD_MAX + 1;

    while (session->jobs) {
        struct job *job = session->jobs;

        lose_lease(broker, job, session, WIRE_ABORT_HASHER_LOST,
                   session->is_crash && (session->role == WIRE_FETCHER ||
                                         job->first_mark <= begun));
    }
}

// A worker broke the protocol over this job (NULL: over no single one), and its
// session is over. The job is charged with that, and no other: should it happen
// with any worker, the count ends it.
static void
end_worker(struct broker *broker, struct session *worker, struct job *job,
           const char *why)
{
    session_doom(worker, WIRE_ERROR_BAD_FRAME, why);
    if (job)
        lose_lease(broker, job, worker, WIRE_ABORT_STALE, true);
}

// --- FETCHED ---

static struct job *
find_leased(struct broker *broker, const struct session *fetcher, uint64_t id,
            uint32_t attempt)
{
    struct job *job = jobs_find(&broker->jobs, id);

    if (!job || job->attempt != attempt || job->fetcher != fetcher)
        return NULL;
    return job;
}

static void
on_failed(struct broker *broker, struct session *fetcher, struct job *job,
          const struct wire_fetched *item)
{
    struct life_info info = {.from = fetcher,
                             .outcome = item->outcome,
                             .reason = WIRE_ABORT_FETCH_FAILED};
    bool again;

    again = schedule_wants_retry(
        job, item->outcome, (int)job->http_status, item->facts.retry_after_s,
        loop_now_ms(broker->loop), &broker->seed, &info.due_ms);
    job->tries++;
    job->lost = 0; // it has an outcome of its own: no longer suspected
    fetcher->done++;
    (void)life_apply(broker, job, again ? EV_FAILED_SOFT : EV_FAILED_HARD,
                     &info);
}

void
relay_on_fetched(struct broker *broker, struct session *fetcher,
                 const struct wire_message *message)
{
    for (size_t i = 0; i < message->fetched.len; i++) {
        const struct wire_fetched *item = &message->fetched.items[i];
        struct job *job =
            find_leased(broker, fetcher, item->job, item->attempt);
        const struct life_info info = {.from = fetcher};
        unsigned char *facts = NULL;
        size_t facts_len = 0;

        // Late news of a cancelled or requeued job is normal.
        if (!job || job->state != JOB_LEASED)
            continue;
        if (item->outcome == FAIL_OK && item->size < job->relayed) {
            // Its LAST could never come.
            log_outside(LOG_WARN, "worker.bad_frame",
                        "role=fetcher worker=%s why=\"%s\"", fetcher->label,
                        "FETCHED says less than came");
            end_worker(broker, fetcher, job, "FETCHED says less than came");
            return;
        }
        if (facts_encode(&item->facts, fetcher->name, &facts, &facts_len) == 0)
            job_take_facts(job, &facts, facts_len);
        agree_keep(job, item->facts.declared);
        job->http_status = item->facts.http_status == WIRE_UNSET
                               ? 0
                               : (uint32_t)item->facts.http_status;
        fetcher->is_doubtful = false;
        hosts_on_fetched(broker, job, item);
        if (item->outcome != FAIL_OK) {
            on_failed(broker, fetcher, job, item);
            continue;
        }
        job->tries++;
        job->size = item->size;
        (void)life_apply(broker, job, EV_FETCHED, &info);
    }
}

// --- SUITE ---

void
relay_on_suite(struct broker *broker, struct session *fetcher,
               const struct wire_message *message)
{
    for (size_t i = 0; i < message->suite.len; i++) {
        const struct wire_suite *item = &message->suite.items[i];
        struct job *job =
            find_leased(broker, fetcher, item->job, item->attempt);

        if (!job)
            continue; // cancelled or requeued meanwhile
        if (job->state != JOB_LEASED || job->hasher) {
            // Its hasher has begun with another one.
            log_outside(LOG_WARN, "worker.bad_frame",
                        "role=fetcher worker=%s why=\"%s\"", fetcher->label,
                        "SUITE of a body that has begun");
            end_worker(broker, fetcher, job, "SUITE of a body that has begun");
            return;
        }
        agree_add(job, item);
    }
}

// --- BODY to HASH ---

// Returns false without memory: then the session is at its end.
static bool
push_note(struct broker *broker, struct session *hasher,
          const struct hash_note *note)
{
    if (hasher->notes_len == hasher->notes_room) {
        size_t room = hasher->notes_room ? hasher->notes_room * 2 : 64;
        struct hash_note *notes = malloc(room * sizeof(*notes));

        if (!notes) {
            // Without its note the credit could not be given back.
            session_doom(hasher, WIRE_ERROR_REFUSED, "no memory in the broker");
            return false;
        }
        for (size_t i = 0; i < hasher->notes_len; i++)
            notes[i] =
                hasher->notes[(hasher->notes_first + i) % hasher->notes_room];
        free(hasher->notes);
        hasher->notes = notes;
        hasher->notes_first = 0;
        hasher->notes_room = room;
    }
    hasher->notes[(hasher->notes_first + hasher->notes_len) %
                  hasher->notes_room] = *note;
    if (!hasher->notes_len)
        hasher->taken_ms = loop_now_ms(broker->loop); // it was idle until now
    hasher->notes_len++;
    hasher->sent++;
    hasher->backlog += note->bytes;
    return true;
}

// The fetcher may send so much more of this body.
static void
pay_back(struct broker *broker, const struct hash_note *note)
{
    struct job *job = note->job ? jobs_find(&broker->jobs, note->job) : NULL;

    if (job && job->attempt == note->attempt)
        job->unpaid -= note->bytes;
}

void
relay_pop_notes(struct broker *broker, struct session *hasher, size_t count)
{
    for (; count; count--) {
        const struct hash_note *note = &hasher->notes[hasher->notes_first];
        struct session *fetcher =
            sessions_find(&broker->sessions, note->fetcher);

        pay_back(broker, note);
        if (fetcher)
            window_give(broker, fetcher, note->job, note->attempt, note->bytes);
        hasher->taken++;
        hasher->backlog -= note->bytes;
        hasher->notes_first = (hasher->notes_first + 1) % hasher->notes_room;
        hasher->notes_len--;
    }
}

// Whole bodies only, or one transfer only: what a hasher can be given alone.
static const char *
check_mixture(const struct wire_message *message)
{
    const struct wire_segment *segments = message->body.segments;
    bool all_whole = true, all_same = true;

    for (size_t i = 0; i < message->body.len; i++) {
        all_whole &= wire_segment_is_whole(&segments[i]);
        all_same &= segments[i].job == segments[0].job &&
                    segments[i].attempt == segments[0].attempt;
    }
    return all_whole || all_same
               ? NULL
               : "segments must be whole bodies or all of one body";
}

// Why a live segment breaks the protocol, or NULL. at: where the body stands;
// ahead: bytes of it in the segments of this message before it.
static const char *
check_segment(const struct job *job, const struct wire_segment *segment,
              uint64_t at, uint64_t ahead, uint64_t job_window)
{
    if ((segment->flags & WIRE_SEGMENT_RESTART) && job->state != JOB_LEASED)
        return "a body begins anew after FETCHED";
    if (segment->offset != at)
        return "a segment does not begin where the last one ended";
    if (!wire_segment_is_whole(segment) &&
        job->unpaid + ahead + segment->length > job_window)
        return "more bytes of one body than its window allows";
    if (job->state == JOB_HASHING && at + segment->length > job->size)
        return "the body is longer than FETCHED said";
    if (!(segment->flags & WIRE_SEGMENT_LAST))
        return NULL;
    if (job->state != JOB_HASHING)
        return "the last segment came before FETCHED";
    if (at + segment->length != job->size)
        return "the body's length is not what FETCHED said";
    return NULL;
}

// Looks at the whole message before anything of it takes effect. Returns why it
// breaks the protocol, or NULL. *out_job: over which job, NULL: none alone.
static const char *
check_body(struct broker *broker, const struct session *fetcher,
           const struct wire_message *message, struct job **out_job)
{
    const struct wire_segment *segments = message->body.segments;
    const char *why = check_mixture(message);
    uint64_t ahead = 0, at = 0;

    *out_job = NULL;
    if (fetcher->outstanding > fetcher->granted)
        why = "more bytes than its window allows";
    for (size_t i = 0; i < message->body.len && !why; i++) {
        struct job *job =
            find_leased(broker, fetcher, segments[i].job, segments[i].attempt);
        bool is_next = i && segments[i].job == segments[i - 1].job;

        ahead = is_next ? ahead + segments[i - 1].length : 0;
        if (!job)
            continue; // a stale one may be anything
        if (!is_next)
            at = segments[i].flags & WIRE_SEGMENT_RESTART ? 0 : job->relayed;
        why = check_segment(job, &segments[i], at, ahead, fetcher->job_window);
        if (why)
            *out_job = job;
        at += segments[i].length;
    }
    return why;
}

// The suites of one message, each once.
struct suites {
    struct wire_bytes names[WIRE_SUITES_MAX];
    size_t len;
    char texts[WIRE_SUITES_MAX + 1][AGREE_SUITE_MAX]; // of names[i], if needed
};

// The place of a suite; WIRE_SUITES_MAX when there is no more room.
static size_t
suite_index(struct suites *suites, struct wire_bytes name)
{
    size_t i;

    for (i = 0; i < suites->len; i++) {
        if (suites->names[i].len == name.len &&
            memcmp(suites->names[i].at, name.at, name.len) == 0)
            return i;
    }
    if (i < WIRE_SUITES_MAX) {
        suites->names[i] = name;
        suites->len = i + 1;
    }
    return i;
}

// The place of a job's suite at its hasher, for as long as there is room.
// Without what its batch did not ask for, if that cannot be.
static size_t
place_suite(struct suites *suites, struct job *job,
            const struct session *hasher)
{
    struct wire_bytes name = agree_suite(job, suites->texts[suites->len]);
    size_t index = WIRE_SUITES_MAX;

    if (session_can_hash(hasher, &name))
        index = suite_index(suites, name);
    if (index == WIRE_SUITES_MAX && job->also && !job->hasher) {
        job->also = 0;
        name = job->flow->batch->suite_name;
        if (session_can_hash(hasher, &name))
            index = suite_index(suites, name);
    }
    return index;
}

// Notes that a job's segment goes to the hasher.
static void
advance(struct job *job, struct session *hasher,
        const struct wire_segment *segment)
{
    if (!job->hasher) {
        job->hasher = hasher;
        DL_APPEND2(hasher->jobs, job, hasher_prev, hasher_next);
        hasher->jobs_len++;
        job->first_mark = hasher->sent + 1;
    }
    if (segment->flags & WIRE_SEGMENT_RESTART)
        job->relayed = 0;
    job->relayed += segment->length;
    job->mark = hasher->sent + 1; // the message that is about to go
    if (!wire_segment_is_whole(segment))
        job->unpaid += segment->length;
    if (!(segment->flags & WIRE_SEGMENT_LAST))
        return;
    DL_DELETE2(job->fetcher->jobs, job, fetcher_prev, fetcher_next);
    job->fetcher->jobs_len--;
    job->fetcher->done++;
    job->fetcher = NULL;
}

// The hasher for this message: that of the stream, or the least busy one that
// has the algorithms of all its bodies.
static struct session *
choose_hasher(struct broker *broker, const struct session *fetcher,
              const struct wire_message *message)
{
    const struct wire_segment *first = &message->body.segments[0];
    const struct job *job = jobs_find(&broker->jobs, first->job);
    const struct batch *last = NULL;
    struct suites suites;

    suites.len = 0;
    if (job && job->attempt == first->attempt && job->hasher)
        return job->hasher;
    if (job && job->attempt == first->attempt && suspects_hasher(broker, job))
        return suspects_hasher(broker, job);
    for (size_t i = 0; i < message->body.len; i++) {
        const struct wire_segment *segment = &message->body.segments[i];

        job = find_leased(broker, fetcher, segment->job, segment->attempt);
        if (!job || job->flow->batch == last)
            continue;
        last = job->flow->batch;
        (void)suite_index(&suites, last->suite_name); // too many: relabel()'s
    }
    return sessions_pick_hasher(&broker->sessions, suites.names, suites.len,
                                !wire_segment_is_whole(first));
}

// Makes the HASH head's segments. Returns how many are live.
static size_t
relabel(struct broker *broker, struct session *fetcher, struct session *hasher,
        const struct wire_message *message, struct wire_segment *out_segments,
        struct suites *suites)
{
    size_t live = 0;

    for (size_t i = 0; i < message->body.len; i++) {
        const struct wire_segment *segment = &message->body.segments[i];
        struct job *job =
            find_leased(broker, fetcher, segment->job, segment->attempt);
        size_t index = WIRE_SUITES_MAX;

        out_segments[i] = *segment;
        out_segments[i].suite = 0;
        if (!job)
            continue; // stale: its bytes are digested in vain, or dropped
        if (hasher)
            index = place_suite(suites, job, hasher);
        if (index == WIRE_SUITES_MAX) {
            lose_lease(broker, job, NULL, WIRE_ABORT_HASHER_LOST, false);
            continue;
        }
        out_segments[i].suite = (uint8_t)index;
        hosts_on_bytes(broker, job);
        advance(job, hasher, segment);
        job->moved_ms = loop_now_ms(broker->loop);
        lease_renew(broker, job);
        live++;
    }
    return live;
}

// Nobody wants the message: its bytes are credited at once.
static void
drop_body(struct broker *broker, struct session *fetcher,
          const struct wire_message *message)
{
    const struct wire_segment *first = &message->body.segments[0];

    window_give(broker, fetcher, 0, 0, message->body.bytes);
    if (!(first->flags & WIRE_SEGMENT_LAST))
        session_abort(broker, fetcher, first->job, first->attempt,
                      WIRE_ABORT_STALE);
}

void
relay_on_body(struct broker *broker, struct session *fetcher,
              const struct wire_message *message, zmq_msg_t *body)
{
    const struct wire_segment *first = &message->body.segments[0];
    struct wire_segment segments[WIRE_ENTRIES_MAX];
    struct suites suites;
    struct session *hasher;
    struct hash_note note = {.fetcher = fetcher->id,
                             .bytes = (uint32_t)message->body.bytes};
    size_t live;
    struct job *job;
    const char *why;

    fetcher->outstanding += message->body.bytes;
    fetcher->bytes += message->body.bytes;
    metrics_add(&broker->stats.body_messages, 1);
    metrics_add(&broker->stats.body_bytes, message->body.bytes);
    why = check_body(broker, fetcher, message, &job);
    if (why) {
        log_outside(LOG_WARN, "worker.bad_frame",
                    "role=fetcher worker=%s why=\"%s\"", fetcher->label, why);
        end_worker(broker, fetcher, job, why);
        return;
    }
    hasher = choose_hasher(broker, fetcher, message);
    suites.len = 0;
    live = relabel(broker, fetcher, hasher, message, segments, &suites);
    if (!live) {
        drop_body(broker, fetcher, message);
        return;
    }
    if (!wire_segment_is_whole(first)) {
        note.job = first->job;
        note.attempt = first->attempt;
    }
    if (!push_note(broker, hasher, &note)) {
        pay_back(broker, &note);
        window_give(broker, fetcher, note.job, note.attempt, note.bytes);
        return;
    }
    wire_put_hash(broker->sessions.buf, suites.names, suites.len, segments,
                  message->body.len);
    session_send(broker, hasher, body);
}

// --- DIGESTS ---

void
relay_on_digests(struct broker *broker, struct session *hasher,
                 const struct wire_message *message)
{
    const struct life_info info = {.from = hasher};

    if (message->digests.taken > hasher->notes_len) {
        session_doom(hasher, WIRE_ERROR_BAD_FRAME,
                     "more messages taken than were sent");
        return;
    }
    for (size_t i = 0; i < message->digests.len; i++) {
        const struct wire_digest *item = &message->digests.items[i];
        struct job *job = jobs_find(&broker->jobs, item->job);
        const char *why;

        // A late digest of a cancelled or requeued job is normal.
        if (!job || job->attempt != item->attempt || job->hasher != hasher ||
            job->state != JOB_HASHING || job->fetcher)
            continue;
        why = agree_take(job, item);
        if (why) {
            log_error("worker.bad_digest",
                      "job=" LOG_JOB " worker=%s why=\"%s\"",
                      LOG_JOB_ARG(job->id), hasher->label, why);
            end_worker(broker, hasher, job, why);
            break;
        }
        hasher->is_doubtful = false;
        hasher->done++;
        hasher->bytes += item->size;
        metrics_add(&broker->stats.digested_bytes, item->size);
        metrics_observe(&broker->stats.digest_wait, &metrics_shape_work,
                        (loop_now_ms(broker->loop) - job->moved_ms) * 1000);
        job_add_hasher(job, hasher->name);
        (void)life_apply(broker, job, EV_DIGESTED, &info);
    }
    if (message->digests.taken)
        hasher->taken_ms = loop_now_ms(broker->loop);
    relay_pop_notes(broker, hasher, message->digests.taken);
}

// --- ABORT from a hasher ---

void
relay_on_abort(struct broker *broker, struct session *hasher,
               const struct wire_message *message)
{
    for (size_t i = 0; i < message->abort.len; i++) {
        const struct wire_aborted *item = &message->abort.items[i];
        struct job *job = jobs_find(&broker->jobs, item->job);
        struct life_info info = {
            .from = hasher, .outcome = FAIL_DIGEST, .reason = WIRE_ABORT_STALE};

        if (!job || job->attempt != item->attempt || job->hasher != hasher)
            continue;
        log_warn("job.hash_aborted", "job=" LOG_JOB " worker=%s reason=%s",
                 LOG_JOB_ARG(job->id), hasher->label,
                 wire_abort_name(item->reason));
        // It was chosen because it announced the algorithms, and says now that
        // it lacks them.
        if (item->reason == WIRE_ABORT_NO_ALGORITHM &&
            !sessions_have_hasher(&broker->sessions,
                                  &job->flow->batch->suite_name, hasher))
            (void)life_apply(broker, job, EV_FAILED_HARD, &info);
        else
            // A gap cannot happen on an ordered link; should it keep
            // happening, the count ends it.
            lose_lease(broker, job, hasher, WIRE_ABORT_HASHER_LOST, true);
    }
}
