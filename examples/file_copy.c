/*
 * file_copy.c - copies a file, or a tree of them: file_copy FROM TO
 *
 * What could not be copied goes to standard error, and the rest is copied all the same; the last
 * line tells how much it was. Ctrl-C leaves no half of a file.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#define BLOCK ((size_t)256 << 10)

static unsigned n_files, n_failed;
static unsigned long long n_bytes;
static struct stat copy_status; /* of the tree that is made */

static int
copy_blocks(weft_file *in, weft_file *out)
{
    char *block = malloc(BLOCK);
    ssize_t n = block == NULL ? -ENOMEM : 1;
    while (n > 0 && (n = weft_file_read(in, block, BLOCK)) > 0) {
        int rc = weft_file_write_all(out, block, (size_t)n, NULL);
        n_bytes += rc == 0 ? (size_t)n : 0;
        n = rc < 0 ? rc : n;
    }
    free(block);
    return (int)n;
}

/* To a name of its own first, so that under the right name there is only what is complete. */
static int
copy_file(const char *path, const char *target)
{
    weft_file in, out;
    struct stat status;
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s.part", target) >= (int)sizeof part)
        return -ENAMETOOLONG;
    int rc = weft_path_stat(target, WEFT_LINKS_KEEP, &status);
    if (rc == 0 && !S_ISREG(status.st_mode))
        return -EEXIST; /* a device, a link: not to be replaced by a file */
    if ((rc < 0 && rc != -ENOENT) || (rc = weft_file_open(&in, path, NULL)) < 0)
        return rc;
    weft_file_options options = {.flags = O_WRONLY | O_CREAT | O_EXCL};
    if ((rc = weft_file_stat(&in, &status)) == 0) {
        options.mode = status.st_mode & 0777;
        rc = weft_file_open(&out, part, &options);
    }
    if (rc == 0) {
        rc = copy_blocks(&in, &out);
        int closed = weft_file_close(&out);
        rc = rc < 0 ? rc : closed;
        rc = rc < 0 ? rc : weft_path_rename(part, target);
        if (rc < 0) { /* after Ctrl-C, calls would be cancelled here too */
            weft_scope shield;
            weft_shield_open(&shield, weft_now() + WEFT_SEC(5));
            weft_ignore(weft_path_remove(part));
            weft_scope_close(&shield);
        }
    }
    weft_file_close(&in);
    n_files += rc == 0;
    if (rc == 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "%u files\r", n_files);
    return rc;
}

/* A folder of the tree. The copy may be made within the tree: copied itself it would have no end,
 * so it is left out, which 1 says. */
static int
make_folder(const char *path, const char *target, weft_walk *walk)
{
    struct stat status;
    int rc = weft_path_stat(path, WEFT_LINKS_KEEP, &status);
    if (rc == 0 && status.st_dev == copy_status.st_dev && status.st_ino == copy_status.st_ino) {
        weft_walk_skip(walk);
        return 1;
    }
    return rc < 0 ? rc : weft_path_mkdir(target, 0, 1);
}

static int
copy(void *arg)
{
    char **names = arg, target[PATH_MAX];
    struct stat status;
    weft_walk walk;
    weft_walk_entry entry;
    int rc = weft_path_stat(names[1], WEFT_LINKS_FOLLOW, &status);
    if (rc == 0 && !S_ISDIR(status.st_mode)) {
        rc = copy_file(names[1], names[2]);
        n_failed = rc < 0;
    } else if (rc == 0 && (rc = weft_path_mkdir(names[2], 0, 1)) == 0 &&
               (rc = weft_path_stat(names[2], WEFT_LINKS_FOLLOW, &copy_status)) == 0 &&
               (rc = weft_walk_open(&walk, names[1], &(weft_walk_options){.sorted = 1})) == 0) {
        while ((rc = weft_walk_next(&walk, &entry)) > 0) {
            const char *below = entry.path + strlen(names[1]);
            rc = entry.error;
            if (snprintf(target, sizeof target, "%s/%s", names[2], below) >= (int)sizeof target)
                rc = -ENAMETOOLONG;
            else if (rc == 0 && entry.kind == WEFT_ENTRY_DIR)
                rc = make_folder(entry.path, target, &walk);
            else if (rc == 0)
                rc = copy_file(entry.path, target);
            if (rc == -ECANCELED)
                break;
            if (rc != 0) {
                fprintf(stderr, "%s: %s\n", entry.path,
                        rc > 0 ? "not copied into itself" : weft_strerror(rc));
                n_failed++;
            }
        }
        weft_walk_close(&walk);
    }
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", names[1], weft_strerror(rc));
    printf("%u files, %llu bytes copied, %u failed\n", n_files, n_bytes, n_failed);
    return rc < 0 ? rc : n_failed > 0 ? -EIO : 0;
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: file_copy FROM TO\n");
        return 2;
    }
    return weft_run(copy, argv, NULL) < 0;
}
