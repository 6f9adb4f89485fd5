/*
 * symbol.c - what stands at an address of the program, in words.
 *
 * The dynamic linker knows exported names only. Static functions, and all of an executable linked
 * without -rdynamic, stand in the symbol table of the file, if it was not stripped: that is looked
 * through. What was found is kept, because a thousand tasks come from a handful of places.
 *
 * Only for reports: the file may be anything, so each number from it is checked, and calls here are
 * not among those that tests make fail.
 */
#include "base/symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT 64

struct file {
    const unsigned char *bytes;
    size_t len;
};

/* The n bytes at an offset; NULL when the file does not have them. */
static const void *
part(const struct file *file, uint64_t offset, uint64_t n)
{
    return offset <= file->len && n <= file->len - offset ? file->bytes + offset : NULL;
}

static const ElfW(Shdr) * section(const struct file *file, const ElfW(Ehdr) * head, unsigned index)
{
    if (index >= head->e_shnum || head->e_shentsize != sizeof(ElfW(Shdr)))
        return NULL;
    return part(file, head->e_shoff + (uint64_t)index * sizeof(ElfW(Shdr)), sizeof(ElfW(Shdr)));
}

/* The function that holds the address, which counts from where the file was loaded. */
static bool
find_in_table(const struct file *file, const ElfW(Shdr) * table, const ElfW(Shdr) * names,
              uint64_t at, char text[WEFT__SYMBOL_BYTES])
{
    size_t n = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbols = part(file, table->sh_offset, n * sizeof(ElfW(Sym)));
    const char *strings = part(file, names->sh_offset, names->sh_size);
    if (symbols == NULL || strings == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const ElfW(Sym) *symbol = &symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || at < symbol->st_value ||
            at - symbol->st_value >= symbol->st_size || symbol->st_name >= names->sh_size)
            continue;
        size_t room = names->sh_size - symbol->st_name;
        if (memchr(strings + symbol->st_name, '\0', room) == NULL)
            continue;
        snprintf(text, WEFT__SYMBOL_BYTES, "%s+0x%zx", strings + symbol->st_name,
                 (size_t)(at - symbol->st_value));
        return true;
    }
    return false;
}

static bool
find_in_file(const char *path, uint64_t at, char text[WEFT__SYMBOL_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat status;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return false;
    struct file file = {bytes, (size_t)status.st_size};
    const ElfW(Ehdr) *head = part(&file, 0, sizeof *head);
    bool found = false;
    if (head != NULL && memcmp(head->e_ident, ELFMAG, SELFMAG) == 0) {
        for (unsigned i = 0; i < head->e_shnum && !found; i++) {
            const ElfW(Shdr) *table = section(&file, head, i);
            if (table == NULL || table->sh_type != SHT_SYMTAB)
                continue;
            const ElfW(Shdr) *names = section(&file, head, table->sh_link);
            found = names != NULL && find_in_table(&file, table, names, at, text);
        }
    }
    munmap(bytes, file.len);
    return found;
}

static void
look_up(const void *address, char text[WEFT__SYMBOL_BYTES])
{
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || info.dli_fname == NULL) {
        snprintf(text, WEFT__SYMBOL_BYTES, "%p", address);
        return;
    }
    /* The file first: of a static function the linker would name its neighbour. */
    uint64_t at = (uint64_t)(uintptr_t)address - (map != NULL ? (uint64_t)map->l_addr : 0);
    bool is_program = map == NULL || map->l_name == NULL || map->l_name[0] == '\0';
    if (find_in_file(is_program ? "/proc/self/exe" : map->l_name, at, text))
        return;
    if (info.dli_sname != NULL) {
        snprintf(text, WEFT__SYMBOL_BYTES, "%s+0x%zx", info.dli_sname,
                 (size_t)((const char *)address - (const char *)info.dli_saddr));
        return;
    }
    const char *name = strrchr(info.dli_fname, '/');
    snprintf(text, WEFT__SYMBOL_BYTES, "%s+0x%llx", name != NULL ? name + 1 : info.dli_fname,
             (unsigned long long)at);
}

void
weft__symbol_text(const void *address, char text[WEFT__SYMBOL_BYTES])
{
    /* A pthread mutex and not a weft__lock: as logging, no step of any protocol. */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        const void *address;
        char text[WEFT__SYMBOL_BYTES];
    } kept[KEPT];
    if (address == NULL) {
        snprintf(text, WEFT__SYMBOL_BYTES, "?");
        return;
    }
    size_t at = ((uintptr_t)address ^ (uintptr_t)address >> 6) % KEPT;
    pthread_mutex_lock(&lock);
    if (kept[at].address != address) {
        look_up(address, kept[at].text);
        kept[at].address = address;
    }
    memcpy(text, kept[at].text, WEFT__SYMBOL_BYTES);
    pthread_mutex_unlock(&lock);
}
