// The SQLite engine: the file and its settings.
#include "broker/store_sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct why {
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void
say(struct why *why, const char *format, ...)
{
    va_list args;

    if (why->size == 0)
        return;
    va_start(args, format);
    (void)vsnprintf(why->text, why->size, format, args);
    va_end(args);
}

// Makes the folders of path that are missing, for the user alone.
static int
make_folders(const char *path, struct why *why)
{
    char *copy = strdup(path);
    int err = 0;

    if (!copy)
        return -ENOMEM;
    for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
            err = -errno;
            say(why, "cannot make the folder %s: %s", copy, strerror(errno));
            break;
        }
        *at = '/';
    }
    free(copy);
    return err;
}

// Makes the file if there is none, for the user alone: URLs may hold secrets.
// A file that exists is not opened here, for closing it would take away the
// locks that another store of this process has on it (POSIX).
static int
make_file(const char *path, struct why *why)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        (void)close(fd); // nothing was written
    if (fd >= 0 || errno == EEXIST)
        return 0;
    say(why, "cannot make the store %s: %s", path, strerror(errno));
    return -errno;
}

// Only what the header promises leaves this file.
static int
errno_of_open(int err)
{
    switch (err) {
    case 0:
    case -EACCES:
    case -EBUSY:
    case -EINVAL:
    case -EIO:
    case -ENOMEM:
    case -ENOSPC:
    case -EPROTONOSUPPORT:
        return err;
    case -EDQUOT:
    case -EFBIG:
        return -ENOSPC;
    case -EROFS:
    case -EPERM:
    case -ENOENT:
    case -ENOTDIR:
    case -EISDIR:
        return -EACCES;
    default:
        return -EIO;
    }
}

// Settings of the connection. They change nothing in the file.
static int
set_up(struct sqlite *sqlite)
{
    return sqlite_execute(
        sqlite,
        // One broker a store; and no shared memory file beside it.
        "PRAGMA locking_mode=EXCLUSIVE;"
        "PRAGMA page_size=4096;"
        "PRAGMA cache_size=-32768;" // KiB
        "PRAGMA temp_store=MEMORY;" // small sorts only
        "PRAGMA foreign_keys=OFF;"
        // Debian's SQLite overwrites deleted rows with zeros, which
        // doubles the cost of leaving the queue.
        "PRAGMA secure_delete=OFF;");
}

static int
set_up_journal(struct sqlite *sqlite, const struct store_config *config)
{
    int err;

    if (!config->path)
        // Nobody will read the file after this process, so what a rollback
        // needs may be in memory: the old pages of one transaction.
        return sqlite_execute(sqlite, "PRAGMA synchronous=OFF;"
                                      "PRAGMA journal_mode=MEMORY;");
    // The log is moved into the file every 16 MiB: often enough to stay small
    // and to be over in a moment, seldom enough that a page which changes
    // again and again is moved once.
    err = sqlite_execute(sqlite, "PRAGMA journal_mode=WAL;"
                                 "PRAGMA wal_autocheckpoint=4096;"
                                 "PRAGMA journal_size_limit=67108864;");
    if (err)
        return err;
    // FULL: each commit is on the disk before it is told. OFF: in the hands of
    // the kernel, so a dead broker loses nothing, a dead machine may.
    return sqlite_execute(sqlite, config->is_durable
                                      ? "PRAGMA synchronous=FULL;"
                                      : "PRAGMA synchronous=OFF;");
}

// The version of a file that is ours; 0: empty, and so ours to fill. Only
// reads.
static int
check_owner(struct sqlite *sqlite, const char *path, int64_t *out_version,
            struct why *why)
{
    int64_t tables = 0, application = 0, version = 0;
    int err;

    err = sqlite_ask(sqlite, "SELECT count(*) FROM sqlite_master", &tables);
    if (!err)
        err = sqlite_ask(sqlite, "PRAGMA application_id", &application);
    if (!err)
        err = sqlite_ask(sqlite, "PRAGMA user_version", &version);
    if (err)
        return err;
    *out_version = version;
    if (tables == 0 && application == 0 && version == 0)
        return 0;
    if (application != APPLICATION_ID || version < 1) {
        say(why, "%s is a database of another program; name another file",
            path);
        return -EINVAL;
    }
    if (version > SCHEMA_VERSION) {
        say(why,
            "%s was written by a newer urlsum (schema %lld, this one knows "
            "%d); install that or name another file",
            path, (long long)version, SCHEMA_VERSION);
        return -EPROTONOSUPPORT;
    }
    return 0;
}

static int
take_file(struct sqlite *sqlite, const struct store_config *config,
          const char *path, struct why *why)
{
    int64_t version;
    int err;

    err = set_up(sqlite);
    if (err)
        return err;
    err = check_owner(sqlite, path, &version, why);
    if (err)
        return err;
    // Before the first page is written, for the setting is in its head. A
    // temporary file goes as a whole.
    if (version == 0 && config->path)
        err = sqlite_execute(sqlite, "PRAGMA auto_vacuum=INCREMENTAL");
    if (err)
        return err;
    err = set_up_journal(sqlite, config);
    if (err)
        return err;
    err = sqlite_execute(sqlite, "BEGIN EXCLUSIVE");
    if (err)
        return err;
    // Again: only now nobody else can be filling it.
    err = check_owner(sqlite, path, &version, why);
    if (!err && version == 0)
        err = sqlite_make_schema(sqlite);
    else if (!err)
        err = sqlite_upgrade_schema(sqlite, version);
    if (!err)
        err = sqlite_execute(sqlite, "COMMIT");
    if (!err && config->path)
        sqlite_enable_shrinking(sqlite);
    // After a failure the file is closed, which rolls back.
    return err;
}

static int
prepare(struct sqlite *sqlite)
{
    static const char *const sql[STATEMENT_COUNT] = {
#define X(name, text) [STATEMENT_##name] = text,
        STATEMENTS(X)
#undef X
    };

    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        int err = sqlite_errno(
            sqlite->db, sqlite3_prepare_v3(sqlite->db, sql[i], -1,
                                           SQLITE_PREPARE_PERSISTENT,
                                           &sqlite->statements[i], NULL));

        if (err)
            return err;
    }
    return 0;
}

// A sentence for whatever has none of its own yet.
static void
say_errno(struct sqlite *sqlite, const char *path, int err, struct why *why)
{
    if (why->size == 0 || why->text[0])
        return;
    if (err == -EBUSY)
        say(why, "%s is in use by another broker", path);
    else if (err == -EINVAL)
        say(why, "%s is not a store of urlsum; name another file", path);
    else if (sqlite3_errcode(sqlite->db) == SQLITE_CORRUPT) // also of no db
        say(why,
            "%s is damaged: keep it and %s-wal, put back a copy of both, or "
            "save what can be read with `sqlite3 %s .recover | sqlite3 NEW`",
            path, path, path);
    else if (err == -EIO && sqlite->db)
        say(why,
            "cannot read or write the store %s: %s; the kernel's log (dmesg) "
            "may say more of the disk",
            path, sqlite3_errmsg(sqlite->db));
    else if (err == -ENOSPC)
        say(why,
            "no room on the disk to open the store %s: nothing is lost; make "
            "some and start again",
            path);
    else
        say(why, "cannot open the store %s: %s", path,
            sqlite->db ? sqlite3_errmsg(sqlite->db) : strerror(-err));
}

// A file of our own in $TMPDIR. SQLite's own temporary databases look through
// all their changed pages at every commit: a tenth of a run's CPU time.
static int
make_temporary(char **out_name, struct why *why)
{
    const char *folder = getenv("TMPDIR");
    char *name;
    int fd;

    // /var/tmp before /tmp: the latter may be in memory.
    if (!folder || folder[0] != '/')
        folder = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    if (asprintf(&name, "%s/urlsum-XXXXXX", folder) < 0)
        return -ENOMEM;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        int err = -errno;

        say(why,
            "cannot make %s: %s; set TMPDIR to a folder for temporary "
            "files",
            name, strerror(-err));
        free(name);
        return err;
    }
    (void)close(fd); // no lock is on it yet
    *out_name = name;
    return 0;
}

int
sqlite_open_file(struct sqlite *sqlite, const struct store_config *config,
                 char *out_why, size_t why_size)
{
    struct why why = {out_why, why_size};
    const char *path = config->path ? config->path : "a temporary file";
    char *name = NULL;
    int err = 0;

    if (!config->path) {
        err = make_temporary(&name, &why);
    } else {
        err = make_folders(config->path, &why);
        if (!err)
            err = make_file(config->path, &why);
        // SQLite gives names like "file:..." and ":memory:" a meaning.
        if (asprintf(&name, "%s%s", config->path[0] == '/' ? "" : "./",
                     config->path) < 0)
            name = NULL;
    }
    if (!err && !name)
        err = -ENOMEM;
    if (err)
        goto out;
    err = sqlite_errno(
        NULL,
        sqlite3_open_v2(name, &sqlite->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                        NULL));
    if (err)
        goto out;
    (void)sqlite3_extended_result_codes(sqlite->db, 1); // never fails
    err = take_file(sqlite, config, path, &why);
    if (!err)
        err = prepare(sqlite);
out:
    if (!config->path && name)
        (void)unlink(name); // gone with the process, however it ends
    if (err == -ENOSPC && !config->path && name)
        say(&why, "no room for %s: set TMPDIR to a disk with room", name);
    if (err)
        say_errno(sqlite, path, err, &why);
    free(name);
    return errno_of_open(err);
}
