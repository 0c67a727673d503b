// page.h - result records as protobuf, written without detours
//
// The fast path of results: a record's bytes go straight from the store's row
// into the reply, the facts as they were stored. The field numbers are those of
// proto/urlsum.proto (a test reads pages back with the generated code).
// Pure; any thread.
#ifndef BROKER_PAGE_H
#define BROKER_PAGE_H
#include "broker/store.h"
#include "broker/suite.h"

#include <stddef.h>
#include <stdint.h>

struct page {
    unsigned char *data; // owned
    size_t len, room;
};

void page_fini(struct page *page);

// Appends one record as field 1 of a ResultsPage. Returns 0 or -ENOMEM.
int page_add_record(struct page *page, const struct store_record *record,
                    const struct suite *suite);

// Appends cursor, end and an already packed Batch.
int page_add_tail(struct page *page, uint64_t cursor, bool is_end,
                  const unsigned char *batch, size_t batch_len);

// Wraps the page into a Reply with this id: *page then holds the Reply.
int page_wrap(struct page *page, uint64_t request_id);

#endif
