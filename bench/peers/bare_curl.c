// bare_curl.c - the limit of the library: libcurl alone, one thread, no digest
//
//   bare_curl LIST CONNECTIONS   prints "count C bytes B seconds S"
//
// curl_multi_socket_action on an epoll of its own; easy handles are made once
// and given the next URL when they finish, bodies are counted and dropped. What
// a fetcher costs beyond this is the fetcher's.
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define URL_LINE_MAX 4096
#define BUFFER_BYTES 262144L

struct bare {
    CURLM *multi;
    int epoll;
    FILE *list;
    double due_s; // when libcurl wants to be called; 0: no wish
    uint64_t count;
    uint64_t bytes;
    uint64_t failed;
};

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t
on_bytes(char *data, size_t size, size_t len, void *arg)
{
    struct bare *bare = arg;

    (void)data;
    bare->bytes += size * len;
    return size * len;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct bare *bare = arg;
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(bare->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(bare->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                  &event))
        return -1;
    (void)curl_multi_assign(bare->multi, fd, bare);
    return 0;
}

static int
on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
    struct bare *bare = arg;

    (void)multi;
    bare->due_s = timeout_ms < 0 ? 0 : now_s() + (double)timeout_ms / 1e3;
    return 0;
}

// Gives the handle its next URL. Returns whether there was one.
static bool
start_next(struct bare *bare, CURL *easy)
{
    char url[URL_LINE_MAX];

    if (!fgets(url, sizeof(url), bare->list))
        return false;
    url[strcspn(url, "\r\n")] = '\0';
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_multi_add_handle(bare->multi, easy);
    return true;
}

static void
take_finished(struct bare *bare, int *running)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(bare->multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;

        bare->count++;
        if (message->data.result != CURLE_OK) {
            (void)fprintf(stderr, "bare_curl: %s\n",
                          curl_easy_strerror(message->data.result));
            bare->failed++;
        }
        (void)curl_multi_remove_handle(bare->multi, easy);
        if (start_next(bare, easy)) {
            (*running)++;
            continue;
        }
        curl_easy_cleanup(easy);
    }
}

static int
wait_ms(const struct bare *bare)
{
    double left_s = bare->due_s - now_s();

    if (bare->due_s <= 0)
        return -1;
    return left_s <= 0 ? 0 : (int)(left_s * 1e3) + 1;
}

static void
turn(struct bare *bare, int *running)
{
    struct epoll_event events[EVENTS_MAX];
    int len = epoll_wait(bare->epoll, events, EVENTS_MAX, wait_ms(bare));

    for (int i = 0; i < len; i++) {
        int mask = 0;

        if (events[i].events & EPOLLIN)
            mask |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT)
            mask |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP))
            mask |= CURL_CSELECT_ERR;
        (void)curl_multi_socket_action(bare->multi, events[i].data.fd, mask,
                                       running);
    }
    // Handles that take_finished() has started wait for this call: it must not
    // starve behind a stream of events.
    if (bare->due_s > 0 && bare->due_s <= now_s()) {
        bare->due_s = 0;
        (void)curl_multi_socket_action(bare->multi, CURL_SOCKET_TIMEOUT, 0,
                                       running);
    }
    take_finished(bare, running);
}

static void
run(struct bare *bare, long connections)
{
    int running = 0;

    for (long i = 0; i < connections; i++) {
        CURL *easy = curl_easy_init();

        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, bare);
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
        if (!start_next(bare, easy)) {
            curl_easy_cleanup(easy);
            break;
        }
        running++;
    }
    while (running)
        turn(bare, &running);
}

int
main(int argc, char **argv)
{
    struct bare bare = {.epoll = -1};
    double begin;
    int result = 1;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: bare_curl LIST CONNECTIONS\n");
        return 2;
    }
    bare.list = fopen(argv[1], "r");
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    bare.multi = curl_multi_init();
    if (!bare.list || bare.epoll < 0 || !bare.multi) {
        (void)fprintf(stderr, "bare_curl: %s\n", strerror(errno));
        goto out;
    }
    (void)curl_multi_setopt(bare.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(bare.multi, CURLMOPT_SOCKETDATA, &bare);
    (void)curl_multi_setopt(bare.multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    (void)curl_multi_setopt(bare.multi, CURLMOPT_TIMERDATA, &bare);
    (void)curl_multi_setopt(bare.multi, CURLMOPT_MAXCONNECTS, atol(argv[2]));
    begin = now_s();
    run(&bare, atol(argv[2]));
    (void)printf("count %llu bytes %llu seconds %.6f\n",
                 (unsigned long long)bare.count, (unsigned long long)bare.bytes,
                 now_s() - begin);
    result = bare.failed ? 1 : 0;
out:
    if (bare.multi)
        (void)curl_multi_cleanup(bare.multi);
    curl_global_cleanup();
    if (bare.epoll >= 0)
        (void)close(bare.epoll);
    if (bare.list)
        (void)fclose(bare.list);
    return result;
}
