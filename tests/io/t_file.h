/*
 * t_file.h - what the tests of files share: a directory of their own, and looking at it without
 * weft.
 */
#ifndef WEFT_TESTS_IO_T_FILE_H
#define WEFT_TESTS_IO_T_FILE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/dir.h>
#include <weft/file.h>
#include <weft/group.h>

#include "task/t_core.h"

static char t_dir[64];

static inline void
t_dir_make(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(t_dir, sizeof t_dir, "%.40s/weft-test-XXXXXX", parent != NULL ? parent : "/tmp");
    cr_assert(mkdtemp(t_dir) != NULL);
}

static inline void
t_dir_remove(void)
{
    char command[200];
    snprintf(command, sizeof command, "[ ! -e %s ] || rm -rf %s", t_dir, t_dir);
    cr_assert(system(command) == 0);
}

/* The path of a name in it; good for four more calls. */
static inline const char *
t_path(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    cr_assert(snprintf(path, PATH_MAX, "%s/%s", t_dir, name) < PATH_MAX);
    return path;
}

static inline void
t_put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* The file is there and holds just this. */
static inline bool
t_holds(const char *path, const char *text)
{
    char got[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t n = fread(got, 1, sizeof got, file);
    fclose(file);
    return n == strlen(text) && memcmp(got, text, n) == 0;
}

static inline unsigned
t_count(const char *path)
{
    DIR *dir = opendir(path);
    cr_assert(dir != NULL);
    unsigned n = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

#endif
