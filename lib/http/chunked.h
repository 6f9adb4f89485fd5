/*
 * chunked.h - a chunked body being decoded, as its bytes come.
 *
 * No input or output here, and no memory but for trailers that are to be kept.
 */
#ifndef WEFT_LIB_HTTP_CHUNKED_H
#define WEFT_LIB_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/base.h>

/* A chunked body being decoded. All zero to begin; then the limits, 0 for the defaults. */
struct weft__http_chunks {
    size_t extension_bytes;  /* all chunk extensions of a body together; 0: 4 KiB */
    size_t trailer_bytes;    /* all trailer fields together; 0: 8 KiB */
    unsigned trailer_fields; /* 0: 64 */
    weft_buf
        *trailers; /* NULL: trailer fields are checked and dropped; else their lines are added */
    /* Of the decoder. */
    uint64_t left_; /* of the chunk: size while it is read, then bytes to come */
    size_t extension_used_, trailer_used_;
    unsigned n_fields_;
    uint8_t state_, digits_, name_len_;
    char name_[32]; /* of a trailer field, in lower case, as far as it fits */
};

/*
 * Takes bytes of a chunked body: the number taken, at least 1 while len is more than 0 and the body
 * is not done. *ret_body and *ret_body_len are the part of them that is body, perhaps none. Taking
 * stops behind such a part and behind the end of the body, when *ret_done is set: what follows is
 * the next message. WEFT_E_HTTP, WEFT_E_HTTP_LARGE, or -ENOMEM for trailers: it stays so, and the
 * connection has to be closed.
 */
ssize_t weft__http_chunks_feed(struct weft__http_chunks *chunks, const char *data, size_t len,
                               const char **ret_body, size_t *ret_body_len, bool *ret_done);

#endif
