/* Made by docs/model/table of what urlsum-broker --print-life prints. */
#define JOB_NONE 0
#define JOB_QUEUED 1
#define JOB_FAILED 2
#define JOB_CANCELLED 3
#define JOB_LEASED 4
#define JOB_HASHING 5
#define JOB_RETRY_WAIT 6
#define JOB_DONE 7
#define EV_LOADED 0
#define EV_REFUSED 1
#define EV_CANCELLED 2
#define EV_LEASED 3
#define EV_GIVEN_UP 4
#define EV_FETCHED 5
#define EV_FAILED_SOFT 6
#define EV_FAILED_HARD 7
#define EV_LEASE_LOST 8
#define EV_DIGESTED 9
#define EV_DUE 10
/* An empty cell is JOB_NONE: nothing leads back there. */
#define LIFE_NEXT(s, e) \
(((s) == JOB_NONE && (e) == EV_LOADED) -> JOB_QUEUED : \
(((s) == JOB_NONE && (e) == EV_REFUSED) -> JOB_FAILED : \
(((s) == JOB_NONE && (e) == EV_CANCELLED) -> JOB_CANCELLED : \
(((s) == JOB_QUEUED && (e) == EV_LEASED) -> JOB_LEASED : \
(((s) == JOB_QUEUED && (e) == EV_GIVEN_UP) -> JOB_FAILED : \
(((s) == JOB_QUEUED && (e) == EV_CANCELLED) -> JOB_CANCELLED : \
(((s) == JOB_LEASED && (e) == EV_FETCHED) -> JOB_HASHING : \
(((s) == JOB_LEASED && (e) == EV_FAILED_SOFT) -> JOB_RETRY_WAIT : \
(((s) == JOB_LEASED && (e) == EV_FAILED_HARD) -> JOB_FAILED : \
(((s) == JOB_LEASED && (e) == EV_LEASE_LOST) -> JOB_QUEUED : \
(((s) == JOB_LEASED && (e) == EV_CANCELLED) -> JOB_CANCELLED : \
(((s) == JOB_HASHING && (e) == EV_DIGESTED) -> JOB_DONE : \
(((s) == JOB_HASHING && (e) == EV_FAILED_HARD) -> JOB_FAILED : \
(((s) == JOB_HASHING && (e) == EV_LEASE_LOST) -> JOB_QUEUED : \
(((s) == JOB_HASHING && (e) == EV_CANCELLED) -> JOB_CANCELLED : \
(((s) == JOB_RETRY_WAIT && (e) == EV_DUE) -> JOB_QUEUED : \
(((s) == JOB_RETRY_WAIT && (e) == EV_CANCELLED) -> JOB_CANCELLED : \
JOB_NONE)))))))))))))))))
