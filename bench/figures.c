/*
 * figures.c - a run's figures as one line of JSON, and back.
 *
 * Sums that need all 64 bits are strings, because many readers of JSON keep 53.
 */
#include "figures.h"

#include <stdlib.h>
#include <string.h>

void
bench_json_string(FILE *to, const char *text)
{
    putc('"', to);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(to, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(to, "\\u%04x", *c);
        else
            putc(*c, to);
    }
    putc('"', to);
}

static int
is_hash(const char *name)
{
    return strncmp(name, "checksum", 8) == 0 || strcmp(name, "first_value") == 0;
}

static void
number_write(FILE *to, const char *name, uint64_t number)
{
    if (is_hash(name))
        fprintf(to, ",\"%s\":\"%016llx\"", name, (unsigned long long)number);
    else
        fprintf(to, ",\"%s\":%llu", name, (unsigned long long)number);
}

void
bench_figures_write(FILE *to, const struct bench_figures *figures)
{
    fputs("{\"spec\":", to);
    bench_json_string(to, figures->spec);
    fputs(",\"errors\":", to);
    bench_json_string(to, figures->errors);
    fputs(",\"failure\":", to);
    bench_json_string(to, figures->failure);
#define BENCH_FIGURE_WRITE(name) number_write(to, #name, figures->name);
    BENCH_FIGURES(BENCH_FIGURE_WRITE)
#undef BENCH_FIGURE_WRITE
    putc('}', to);
}

/* The value behind "name":, or NULL. */
static const char *
value_of(const char *line, const char *name)
{
    char key[48];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(line, key);
    return at != NULL ? at + strlen(key) : NULL;
}

static int
number_read(const char *line, const char *name, uint64_t *ret_number)
{
    const char *at = value_of(line, name);
    if (at == NULL)
        return -1;
    int hex = *at == '"';
    char *end;
    *ret_number = strtoull(at + hex, &end, hex ? 16 : 10);
    return end == at + hex ? -1 : 0;
}

static int
string_read(const char *line, const char *name, char *text, size_t cap)
{
    const char *at = value_of(line, name);
    size_t len = 0;
    if (at == NULL || *at++ != '"')
        return -1;
    while (*at != '"') {
        unsigned code = 0;
        if (*at == '\0')
            return -1;
        if (*at == '\\' && at[1] == 'u' && sscanf(at + 2, "%4x", &code) == 1) {
            at += 5;
        } else {
            at += *at == '\\';
            code = (unsigned char)*at;
        }
        if (len + 1 < cap)
            text[len++] = (char)code;
        at++;
    }
    text[len] = '\0';
    return 0;
}

int
bench_figures_read(struct bench_figures *figures, const char *line)
{
    int rc = 0;
    memset(figures, 0, sizeof *figures);
    rc |= string_read(line, "spec", figures->spec, sizeof figures->spec);
    rc |= string_read(line, "errors", figures->errors, sizeof figures->errors);
    rc |= string_read(line, "failure", figures->failure, sizeof figures->failure);
#define BENCH_FIGURE_READ(name) rc |= number_read(line, #name, &figures->name);
    BENCH_FIGURES(BENCH_FIGURE_READ)
#undef BENCH_FIGURE_READ
    return rc;
}
