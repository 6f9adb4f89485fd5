/*
 * files.c - three lines of text and a JSON document, written and read back.
 *
 * aiofiles: open(), write(), async for line in file, json.loads(await file.read()). Each call is
 * made on a thread for files; the task waits, its loop does not.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static int
write_lines(const char *path)
{
    static const char *const lines[] = {
        "Erste Zeile: Grüße\n",
        "Вторая строка\n",
        "第三行 ✓\n",
    };
    weft_file file;
    int rc =
        weft_file_open(&file, path, &(weft_file_options){.flags = O_WRONLY | O_CREAT | O_TRUNC});
    if (rc < 0)
        return rc;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = weft_file_write_all(&file, lines[i], strlen(lines[i]), NULL);
    int closed = weft_file_close(&file);
    return rc < 0 ? rc : closed;
}

static int
read_lines(const char *path)
{
    weft_file file;
    weft_bytes line;
    int rc = weft_file_open(&file, path, NULL);
    if (rc < 0)
        return rc;
    for (int n = 1; (rc = weft_file_read_line(&file, &line)) > 0; n++)
        printf("%d: %.*s\n", n, (int)line.len, (const char *)line.data);
    weft_file_close(&file);
    return rc;
}

static int
write_json(const char *path)
{
    json_t *person = json_pack("{s:s, s:i, s:[s, s, s]}", "name", "Zoë Müller", "age", 30,
                               "languages", "español", "русский", "日本語");
    char *text = json_dumps(person, JSON_INDENT(2));
    json_decref(person);
    if (text == NULL)
        return -ENOMEM;
    int rc = weft_file_write_atomic(path, (weft_bytes){text, strlen(text)}, 0);
    free(text);
    return rc;
}

static int
read_json(const char *path)
{
    weft_buf text = {0};
    int rc = weft_file_read_all(path, &text, 1 << 20);
    if (rc < 0)
        return rc;
    json_error_t error;
    json_t *person = json_loadb((char *)text.data, text.len, 0, &error);
    weft_buf_free(&text);
    if (person == NULL)
        return weft_error_note(-EINVAL, "line %d: %s", error.line, error.text);
    json_t *languages = json_object_get(person, "languages"), *language;
    size_t i;
    printf("%s, %d, speaks", json_string_value(json_object_get(person, "name")),
           (int)json_integer_value(json_object_get(person, "age")));
    json_array_foreach(languages, i, language)
        printf("%s %s", i > 0 ? "," : "", json_string_value(language));
    printf("\n");
    json_decref(person);
    return 0;
}

static int
files(void *arg)
{
    char *dir = arg, lines[64], json[64];
    int rc = weft_path_mkdir_temp(dir);
    if (rc < 0)
        return rc;
    snprintf(lines, sizeof lines, "%s/lines.txt", dir);
    snprintf(json, sizeof json, "%s/person.json", dir);
    if ((rc = write_lines(lines)) == 0 && (rc = read_lines(lines)) == 0 &&
        (rc = write_json(json)) == 0)
        rc = read_json(json);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", weft_strerror(rc), weft_error_text());
    int removed = weft_path_remove_tree(dir);
    return rc < 0 ? rc : removed;
}

int
main(void)
{
    char dir[] = "/tmp/weft-files-XXXXXX";
    return weft_run(files, dir, NULL) < 0;
}
