// framing.h - whether an answer's fields leave no doubt where its body ends
//
// libcurl takes the number that a Content-Length begins with, the last one of
// several, and none at all for one that is too large: each of them could be the
// digest of a wrong body. Pure.
#ifndef FETCHER_FRAMING_H
#define FETCHER_FRAMING_H

struct answer;

// What is wrong with Content-Length or Transfer-Encoding (RFC 9112, 6.3): a
// clause for people, static; NULL: nothing.
const char *framing_fault(const struct answer *answer);

#endif
