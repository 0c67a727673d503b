// verdict.h - how a transfer ended: its outcome and its facts
//
// Reads what libcurl knows of the last request and what the transfer has kept
// of those before it. Loop thread only.
#ifndef FETCHER_VERDICT_H
#define FETCHER_VERDICT_H
struct transfer;
struct wire_fetched;

// Adds what the request that has just ended took to the transfer's times: once
// a request.
void verdict_add_request(struct transfer *transfer);

// The transfer has ended with transfer->code. *out_fetched borrows from it
// until the next start.
void verdict_of(struct transfer *transfer, struct wire_fetched *out_fetched);

#endif
