// gen_origin.c - an HTTP origin whose bodies are made while they are sent
//
//   gen_origin PORT            serves 127.0.0.1:PORT until SIGTERM (0: a free
//                              one); prints "port N" once it listens
//   gen_origin --digest BYTES  prints the SHA-512 of the body of that length
//
// GET /gen/BYTES answers that many bytes, of which nothing is stored: a 20 GB
// body costs one block of memory. Bytes are the same for every request, and
// each 64 KiB carries its own offset, so a chunk that is lost, doubled or out
// of place changes the digest. One thread a connection: the soak uses few.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES (1024 * 1024)
#define STAMP_EVERY (64 * 1024) // bytes; divides BLOCK_BYTES
#define REQUEST_BYTES_MAX 16384

struct block {
    unsigned char bytes[BLOCK_BYTES];
};

struct connection {
    int fd;
    size_t request_len;
    char request[REQUEST_BYTES_MAX + 1];
    struct block block;
};

static void
fill_with_noise(struct block *block)
{
    uint64_t state = 88172645463325252u; // xorshift: any seed but 0

    for (size_t i = 0; i < BLOCK_BYTES; i += sizeof(state)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(block->bytes + i, &state, sizeof(state));
    }
}

static void
stamp(struct block *block, uint64_t offset)
{
    for (size_t i = 0; i < BLOCK_BYTES; i += STAMP_EVERY) {
        uint64_t here = offset + i;

        memcpy(block->bytes + i, &here, sizeof(here));
    }
}

static size_t
len_at(uint64_t offset, uint64_t total)
{
    return total - offset < BLOCK_BYTES ? (size_t)(total - offset)
                                        : BLOCK_BYTES;
}

// Returns 0, or -errno when the reader is gone.
static int
send_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        at += sent;
        len -= (size_t)sent;
    }
    return 0;
}

static int
send_body(struct connection *connection, uint64_t total)
{
    char head[160];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 200 OK\r\n"
                       "Content-Type: application/octet-stream\r\n"
                       "Content-Length: %llu\r\n\r\n",
                       (unsigned long long)total);
    int err = send_all(connection->fd, head, (size_t)len);

    for (uint64_t offset = 0; offset < total && !err; offset += BLOCK_BYTES) {
        stamp(&connection->block, offset);
        err = send_all(connection->fd, connection->block.bytes,
                       len_at(offset, total));
    }
    return err;
}

static int
answer(struct connection *connection)
{
    static const char missing[] =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    unsigned long long total;

    if (sscanf(connection->request, "GET /gen/%llu", &total) != 1)
        return send_all(connection->fd, missing, sizeof(missing) - 1);
    return send_body(connection, total);
}

// Reads until the request's empty line. Returns 0, or -errno; -ECONNRESET when
// the peer has closed.
static int
read_request(struct connection *connection, size_t *out_len)
{
    for (;;) {
        char *end;
        ssize_t got;

        connection->request[connection->request_len] = '\0';
        end = strstr(connection->request, "\r\n\r\n");
        if (end) {
            *out_len = (size_t)(end - connection->request) + 4;
            return 0;
        }
        if (connection->request_len == REQUEST_BYTES_MAX)
            return -EMSGSIZE;
        got =
            recv(connection->fd, connection->request + connection->request_len,
                 REQUEST_BYTES_MAX - connection->request_len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? -errno : -ECONNRESET;
        connection->request_len += (size_t)got;
    }
}

static void *
serve(void *arg)
{
    struct connection *connection = arg;
    size_t len = 0;

    while (!read_request(connection, &len)) {
        if (answer(connection))
            break;
        connection->request_len -= len;
        memmove(connection->request, connection->request + len,
                connection->request_len);
    }
    (void)close(connection->fd);
    free(connection);
    return NULL;
}

static void
start_connection(int fd)
{
    struct connection *connection = malloc(sizeof(*connection));
    pthread_t thread;
    int on = 1;

    if (!connection) {
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connection->fd = fd;
    connection->request_len = 0;
    fill_with_noise(&connection->block);
    if (pthread_create(&thread, NULL, serve, connection)) {
        (void)close(fd);
        free(connection);
        return;
    }
    (void)pthread_detach(thread);
}

static int
listen_on(int port, int *out_fd, int *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&at, &at_len)) {
        int err = -errno;

        (void)close(fd);
        return err;
    }
    *out_fd = fd;
    *out_port = ntohs(at.sin_port);
    return 0;
}

static int
run_server(int port)
{
    int listener = -1;
    int err = listen_on(port, &listener, &port);

    if (err) {
        (void)fprintf(stderr, "gen_origin: %s\n", strerror(-err));
        return 1;
    }
    (void)printf("port %d\n", port);
    (void)fflush(stdout);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            start_connection(fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return 1;
    }
}

static int
print_digest(uint64_t total)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    struct block *block = malloc(sizeof(*block));
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int sum_len = 0;
    int result = 1;

    if (!digest || !block || !EVP_DigestInit_ex(digest, EVP_sha512(), NULL))
        goto out;
    fill_with_noise(block);
    for (uint64_t offset = 0; offset < total; offset += BLOCK_BYTES) {
        stamp(block, offset);
        if (!EVP_DigestUpdate(digest, block->bytes, len_at(offset, total)))
            goto out;
    }
    if (!EVP_DigestFinal_ex(digest, sum, &sum_len))
        goto out;
    for (unsigned int i = 0; i < sum_len; i++)
        (void)printf("%02x", sum[i]);
    (void)printf("\n");
    result = 0;
out:
    free(block);
    EVP_MD_CTX_free(digest);
    return result;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--digest"))
        return print_digest(strtoull(argv[2], NULL, 10));
    if (argc == 2)
        return run_server(atoi(argv[1]));
    (void)fprintf(stderr, "usage: gen_origin PORT | --digest BYTES\n");
    return 2;
}
