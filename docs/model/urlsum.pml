/* One URL's life through broker, store, fetchers and a hasher, with losses.
 *
 * README.md says what is modelled and what is not. A step of a program (one
 * message, one timer) is atomic, as in the broker's turn of the loop; what
 * happens between steps is free. M_... are mutations: each breaks one rule of
 * the design, and `run` shows that the model notices.
 */
#include "life.pml"

#ifndef FETCHERS
#define FETCHERS 2
#endif
#define WORKERS (FETCHERS + 1)
#define HASHER FETCHERS /* the last worker */
#define NOBODY 7
#ifndef TRIES_MAX
#define TRIES_MAX 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef CANCELS
#define CANCELS 1
#endif

mtype = { HELLO, WELCOME, JOBS, BODY, FETCHED, FAILED, HASH, DIGESTS, ABORT,
          NO_SESSION, FINISH, RETRY };

/* A worker has a connection an epoch; the last one may still bring old frames.
 * Fields: kind, epoch of the connection, attempt, fetch (which transfer the
 * bytes came from: nobody reads it, it is there to be asserted), last. */
#define CONNECTION(w, e) (2 * (w) + (e) % 2)
chan up[2 * WORKERS] = [3] of { mtype, byte, byte, byte, bit };
chan down[2 * WORKERS] = [12] of { mtype, byte, byte, byte, bit };

/* --- The store: what outlives a crash of the broker --- */
bool row = true;      /* the line's row of the queue */
byte row_tries = 0;
bool row_cancelled = false;
byte records = 0;
bool is_half = false; /* M_TWO_COMMITS: the record is in, the row not out */
chan writes = [3] of { mtype, byte, byte };
chan commits = [1] of { bool };

/* --- The broker's memory --- */
bool is_loaded = false;
byte state = JOB_NONE;
byte attempt = 0;
byte tries = 0;
byte fetcher = NOBODY; /* has the job in hand */
byte hasher = NOBODY;  /* has its first bytes */
byte relayed = 0;      /* segments that went to the hasher */
byte relayed_fetch = 0;
byte session[WORKERS]; /* epoch; 0: none */
byte known[WORKERS];   /* the highest epoch heard of */

/* --- Of the step that is under way, in whichever program: no state --- */
hidden mtype kind;
hidden byte e, a, f, w, next_state, how, n;
hidden byte last;

/* --- What the world does --- */
byte losses = LOSSES;
byte crashes = CRASHES;
byte cancels = CANCELS;
bool is_broken[WORKERS]; /* its connection ended, and it will notice */
byte epoch[WORKERS];     /* of the workers themselves */
byte fetches = 0;        /* number of the last transfer: 1 to 4, in turn */
byte own_failures = 0;   /* transfers that failed by the origin's fault */
bool is_refused = false; /* its line is no URL */

/* --- The broker --- */

inline apply(event) {
    next_state = LIFE_NEXT(state, event);
    assert(next_state != JOB_NONE); /* an empty cell: cannot happen */
    state = next_state;
}

/* Sends never wait: no queue of a connection that is read is ever full in this
 * model. What goes to one that the worker left is lost. */
inline send_down(w2, kind, a2, f2, l2) {
    if
    :: epoch[w2] == session[w2] ->
        assert(nfull(down[CONNECTION(w2, session[w2])]));
        down[CONNECTION(w2, session[w2])]!kind,session[w2],a2,f2,l2
    :: epoch[w2] != session[w2]
    fi
}

inline abort_at(who) {
    if
    :: who != NOBODY && session[who] -> send_down(who, ABORT, attempt, 0, 0)
    :: else
    fi;
}

inline end_leases() {
    abort_at(fetcher);
    abort_at(hasher);
    fetcher = NOBODY;
    hasher = NOBODY;
    relayed = 0;
    relayed_fetch = 0;
}

inline write_record(ending) {
    assert(nfull(writes));
    writes!FINISH,ending,tries;
#ifdef M_SHOWN_FIRST
    assert(records == 1); /* nothing is shown that is not durable */
#endif
}

inline lose_lease() {
#ifdef M_CHARGED
    tries++;
#else
    /* Charged with FETCHED, but it did not come to its end. */
    tries = (state == JOB_HASHING -> tries - 1 : tries);
#endif
    if
    :: tries >= TRIES_MAX -> apply(EV_FAILED_HARD); end_leases(); write_record(state)
    :: else -> apply(EV_LEASE_LOST); end_leases()
    fi
}

inline end_session(w3) {
    session[w3] = 0;
#ifndef M_LEASE_KEPT
    if
    :: fetcher == w3 || hasher == w3 -> lose_lease()
    :: else
    fi
#endif
}

inline on_hello() {
    if
    :: e < known[w] /* an older life of this worker */
    :: e >= known[w] && e == session[w] -> send_down(w, WELCOME, 0, 0, 0)
    :: e >= known[w] && e != session[w] ->
        end_session(w);
        session[w] = e;
        known[w] = e;
        send_down(w, WELCOME, 0, 0, 0)
    fi
}

#ifdef M_NO_ATTEMPT
#define IS_CURRENT true
#else
#define IS_CURRENT (a == attempt)
#endif
#ifdef M_NO_SESSION
#define IS_OF_SESSION (session[w] != 0)
#else
#define IS_OF_SESSION (session[w] == e)
#endif

inline on_body() {
    if
    :: fetcher == w && IS_CURRENT ->
        if
        :: hasher == NOBODY && !session[HASHER] -> lose_lease()
        :: else ->
            hasher = HASHER;
            /* All bytes that a hasher gets of an attempt are one transfer's. */
            assert(relayed == last);
            assert(relayed == 0 || f == relayed_fetch);
            assert(!last || state == JOB_HASHING);
            relayed_fetch = f;
            relayed++;
            send_down(HASHER, HASH, a, f, last);
            fetcher = (last -> NOBODY : fetcher)
        fi
    :: else /* stale */
    fi
}

inline on_fetched() {
    if
    :: fetcher == w && IS_CURRENT && state == JOB_LEASED ->
        tries++;
        apply(EV_FETCHED)
    :: else
    fi
}

inline on_failed() {
    if
    :: fetcher == w && IS_CURRENT && state == JOB_LEASED ->
        tries++;
        fetcher = NOBODY; /* brought it: needs no telling */
        if
        :: tries < TRIES_MAX ->
            apply(EV_FAILED_SOFT);
            assert(nfull(writes));
            writes!RETRY,tries,0
        :: else ->
            apply(EV_FAILED_HARD);
            write_record(state)
        fi;
        end_leases()
    :: else
    fi
}

inline on_digests() {
    if
    :: hasher == w && IS_CURRENT && state == JOB_HASHING && fetcher == NOBODY ->
        /* All its bytes, of this attempt's one transfer. */
        assert(f == relayed_fetch && f != 0);
        hasher = NOBODY;
        apply(EV_DIGESTED);
        end_leases();
        write_record(state)
    :: else /* late */
    fi
}

inline on_abort() {
    if
    :: hasher == w && IS_CURRENT -> hasher = NOBODY; lose_lease()
    :: else
    fi
}

inline on_message() {
    if
    :: kind == HELLO -> on_hello()
    :: kind != HELLO && !IS_OF_SESSION ->
        if
        :: epoch[w] == e ->
            assert(nfull(down[CONNECTION(w, e)]));
            down[CONNECTION(w, e)]!NO_SESSION,e,0,0,0
        :: epoch[w] != e
        fi
    :: kind != HELLO && IS_OF_SESSION ->
        if
        :: kind == BODY -> on_body()
        :: kind == FETCHED -> on_fetched()
        :: kind == FAILED -> on_failed()
        :: kind == DIGESTS -> on_digests()
        :: kind == ABORT -> on_abort()
        fi
    fi
}

/* Memory is gone; what was not committed as well. Frames on their way may be
 * lost with the connections, or arrive. */
inline crash() {
    is_loaded = false;
    state = JOB_NONE;
    attempt = 0;
    tries = 0;
    fetcher = NOBODY;
    hasher = NOBODY;
    relayed = 0;
    relayed_fetch = 0;
    is_half = false;
    do
    :: nempty(writes) -> writes?kind,a,f
    :: empty(writes) -> break
    od;
    do
    :: nempty(commits) -> commits?_
    :: empty(commits) -> break
    od;
    w = 0;
    do
    :: w < WORKERS ->
        session[w] = 0;
        known[w] = 0;
        is_broken[w] = true;
        w++
    :: w == WORKERS -> break
    od;
    if
    :: true /* all frames arrive later */
    :: w = 0;
        do
        :: w < 2 * WORKERS ->
            do
            :: nempty(up[w]) -> up[w]?kind,e,a,f,last
            :: empty(up[w]) -> break
            od;
            w++
        :: w == 2 * WORKERS -> break
        od
    fi
}

#define HEAR(c) \
    :: atomic { up[c]?kind,e,a,f,last -> w = (c) / 2; on_message() }
#if FETCHERS == 2
#define HAS_WORKERS ((session[0] || session[1]) && session[HASHER])
#else
#define HAS_WORKERS (session[0] && session[HASHER])
#endif
#define IS_ACTIVE (state == JOB_LEASED || state == JOB_HASHING)
#define IS_OPEN (state == JOB_QUEUED || IS_ACTIVE || state == JOB_RETRY_WAIT)

active proctype Broker() {
end:
    do
    :: atomic { !is_loaded ->
        is_loaded = true;
        if
        :: row && row_cancelled -> apply(EV_CANCELLED); write_record(state)
        :: row && !row_cancelled -> tries = row_tries; apply(EV_LOADED)
        :: row && !row_cancelled && CANCELS -> /* no URL at all */
            apply(EV_REFUSED); is_refused = true; write_record(state)
        :: !row
        fi }
    :: atomic { state == JOB_QUEUED && HAS_WORKERS ->
        if
        :: session[0] -> w = 0
#if FETCHERS == 2
        :: session[1] -> w = 1
#endif
        fi;
        apply(EV_LEASED);
        attempt++;
        fetcher = w;
        relayed = 0;
        relayed_fetch = 0;
        send_down(w, JOBS, attempt, 0, 0) }
    :: atomic { state == JOB_RETRY_WAIT -> apply(EV_DUE) }
    HEAR(0)
    HEAR(1)
    HEAR(2)
    HEAR(3)
#if FETCHERS == 2
    HEAR(4)
    HEAR(5)
#endif
    :: atomic { commits?_ ->
#ifndef M_SHOWN_FIRST
        assert(records == 1); /* now it is shown */
#endif
        skip }
    /* Silence: it died, or only the cable was cut and it goes on talking. */
    :: atomic { losses > 0 ->
        losses--;
        w = 0;
        do
        :: w < HASHER -> w++
        :: break
        od;
        is_broken[w] = true;
        end_session(w) }
    :: atomic { cancels > 0 && IS_OPEN ->
        cancels--;
        row_cancelled = true;
        apply(EV_CANCELLED);
        end_leases();
        write_record(state) }
    :: atomic { crashes > 0 -> crashes--; crash() }
    od
}

/* --- The store's thread --- */

active proctype Store() {
end:
    do
    :: atomic { writes?FINISH,how,n ->
#ifdef M_TWO_COMMITS
        records++;
        is_half = true;
        assert(records <= 1)
        }
        atomic {
        if
        :: is_half -> row = false; is_half = false; commits!true
        :: !is_half /* the broker crashed in between */
        fi
#else
        if
        :: row ->
            row = false;
            records++;
            /* Nothing is charged but what failed by itself. */
            assert(how != JOB_FAILED || is_refused ||
                   own_failures >= TRIES_MAX);
            assert(how != JOB_DONE || n <= own_failures + 1);
            commits!true
        :: !row /* it has its record */
        fi;
        assert(records <= 1)
#endif
        }
    :: atomic { writes?RETRY,how,n -> row_tries = how }
    od
}

/* --- Workers --- */

#define MINE CONNECTION(me, epoch[me])
/* Connections share queues here; what was sent on one that is gone is lost. */
#define IS_MINE (is_live && e == epoch[me])

/* Drops everything, connects anew, says HELLO. What the connection before the
 * last one held is gone by now. */
inline begin_anew() {
    epoch[me]++;
    is_broken[me] = false;
    is_live = false;
    do
    :: nempty(up[MINE]) -> up[MINE]?_,_,_,_,_
    :: empty(up[MINE]) -> break
    od;
    do
    :: nempty(down[MINE]) -> down[MINE]?_,_,_,_,_
    :: empty(down[MINE]) -> break
    od;
    up[MINE]!HELLO,epoch[me],0,0,0
}

proctype Fetcher(byte me) {
    bool is_live = false;
    byte job = 0;      /* the attempt in hand */
    byte transfer = 0; /* its bytes' origin */
    byte sent = 0;     /* 1: a part; 2: FETCHED as well */

    atomic { begin_anew() }
end:
    do
    :: atomic { is_broken[me] -> job = 0; transfer = 0; sent = 0; begin_anew() }
    :: atomic { down[MINE]?kind,e,a,f,last ->
        if
        :: kind == WELCOME && e == epoch[me] ->
            is_live = true; job = 0; transfer = 0; sent = 0
        :: kind == NO_SESSION && IS_MINE ->
            job = 0; transfer = 0; sent = 0; begin_anew()
        :: kind == JOBS && IS_MINE ->
            job = a; fetches = fetches % 4 + 1; transfer = fetches; sent = 0
        :: kind == ABORT && IS_MINE && a == job -> job = 0; transfer = 0; sent = 0
        :: else
        fi }
    :: atomic { job && sent == 0 && nfull(up[MINE]) ->
        up[MINE]!BODY,epoch[me],job,transfer,0; sent = 1 }
    :: atomic { job && sent <= 1 && own_failures < TRIES_MAX && nfull(up[MINE]) ->
        own_failures++;
        up[MINE]!FAILED,epoch[me],job,0,0; job = 0; transfer = 0; sent = 0 }
    :: atomic { job && sent == 1 && nfull(up[MINE]) ->
        up[MINE]!FETCHED,epoch[me],job,0,0; sent = 2 }
    :: atomic { job && sent == 2 && nfull(up[MINE]) ->
        up[MINE]!BODY,epoch[me],job,transfer,1; job = 0; transfer = 0; sent = 0 }
    od
}

proctype Hasher(byte me) {
    bool is_live = false;
    byte open = 0;     /* the attempt begun */
    byte transfer = 0; /* whose bytes; 0: of more than one */

    atomic { begin_anew() }
end:
    do
    :: atomic { is_broken[me] -> open = 0; transfer = 0; begin_anew() }
    :: atomic { nfull(up[MINE]) && down[MINE]?[kind,e,a,f,last] ->
        down[MINE]?kind,e,a,f,last;
        if
        :: kind == WELCOME && e == epoch[me] ->
            is_live = true; open = 0; transfer = 0
        :: kind == NO_SESSION && IS_MINE -> open = 0; transfer = 0; begin_anew()
        :: kind == ABORT && IS_MINE && a == open -> open = 0; transfer = 0
        :: kind == HASH && IS_MINE && !last -> open = a; transfer = f
        :: kind == HASH && IS_MINE && last && a == open ->
            up[MINE]!DIGESTS,epoch[me],a,(f == transfer -> f : 0),0;
            open = 0; transfer = 0
        :: kind == HASH && IS_MINE && last && a != open ->
            up[MINE]!ABORT,epoch[me],a,0,0 /* a gap */
        :: else
        fi }
    od
}

/* --- What must hold --- */

init {
    atomic {
        run Fetcher(0);
#if FETCHERS == 2
        run Fetcher(1);
#endif
        run Hasher(HASHER);
    }
    /* Nothing can move any more: the job has its record, and it was shown unless
     * the broker crashed in between. */
    timeout -> assert(records == 1 && !row)
}

ltl ends { <> (records == 1) }
