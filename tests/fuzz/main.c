/*
 * main.c - a fuzz target without libFuzzer: runs the files that it is given, or standard input.
 *
 * Under AFL++ one process runs many inputs, which come in shared memory.
 */
#include <unistd.h>

#include "fuzz/fuzz.h"

#ifdef __AFL_FUZZ_TESTCASE_LEN
__AFL_FUZZ_INIT();
#endif

static int
run_file(FILE *file)
{
    size_t cap = 1 << 16, size = 0, got;
    uint8_t *data = malloc(cap);
    while (data != NULL && (got = fread(data + size, 1, cap - size, file)) > 0) {
        size += got;
        if (size == cap) {
            uint8_t *larger = realloc(data, cap *= 2);
            if (larger == NULL)
                free(data);
            data = larger;
        }
    }
    if (data == NULL || ferror(file)) {
        free(data);
        return 1;
    }
    /* In a block of just its size: a look behind it is noticed. */
    uint8_t *exact = realloc(data, size > 0 ? size : 1);
    if (exact == NULL) {
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

int
main(int argc, char **argv)
{
#ifdef __AFL_FUZZ_TESTCASE_LEN
    if (argc < 2) {
        __AFL_INIT();
        unsigned char *shared = __AFL_FUZZ_TESTCASE_BUF;
        while (__AFL_LOOP(10000))
            LLVMFuzzerTestOneInput(shared, (size_t)__AFL_FUZZ_TESTCASE_LEN);
        return 0;
    }
#endif
    if (argc < 2)
        return run_file(stdin);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL || run_file(file) != 0) {
            perror(argv[i]);
            return 1;
        }
        fclose(file);
    }
    return 0;
}
