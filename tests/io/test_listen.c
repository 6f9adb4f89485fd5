/*
 * test_listen.c - the sockets of servers: files of Unix sockets, and older servers.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>

#include <weft/file.h>
#include <weft/scope.h>
#include <weft/time.h>

#include "io/t_server.h"

TestSuite(listen, .timeout = 120);

static int
unlock_later(void *arg)
{
    int rc = weft_sleep(WEFT_MS(30));
    T_OK(flock(*(int *)arg, LOCK_UN));
    return rc;
}

/* Whoever starts another server in the same folder holds its lock for a moment. */
LOOPS_TEST(listen, servers_in_one_folder_start_at_once, 1)
{
    char folder[] = "/tmp/weft-listen-XXXXXX", text[64];
    weft_server *server;
    weft_group group;
    T_OK(weft_path_mkdir_temp(folder));
    snprintf(text, sizeof text, "unix:%s/s", folder);
    const weft_server_options options = {.listen = (const char *const[]){text, NULL},
                                         .serve = t_serve_echo};
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    T_OK(flock(lock, LOCK_EX));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, unlock_later, &lock);
    T_OK(weft_server_new(&server, &options));
    T_OK(weft_group_close(&group));
    weft_server_free(server);
    /* Who never lets go of it keeps nobody from listening. */
    T_OK(flock(lock, LOCK_EX));
    T_OK(weft_server_new(&server, &options));
    weft_server_free(server);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_server_new(&server, &options));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    close(lock);
    T_OK(weft_path_remove_tree(folder));
}

struct rude {
    weft_fd listener;
    unsigned met;
};

static int
hang_up(void *arg)
{
    struct rude *rude = arg;
    weft_fd channel;
    int rc;
    while ((rc = weft_tcp_accept(&rude->listener, &channel, NULL)) == 0) {
        rude->met++;
        weft_fd_close(&channel);
    }
    return rc;
}

/* It may be about to be replaced: it is asked again, but not without a pause. */
LOOPS_TEST(listen, a_server_that_hangs_up_is_not_besieged, 1)
{
    char folder[] = "/tmp/weft-listen-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct rude rude = {.met = 0};
    weft_server *server;
    weft_group group;
    weft_scope soon;
    T_OK(weft_path_mkdir_temp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/h", folder);
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    T_OK(bind(raw, (struct sockaddr *)&address, sizeof address));
    T_OK(listen(raw, 16));
    T_OK(weft_fd_open(&rude.listener, raw));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, hang_up, &rude);
    weft_scope_open(&soon, weft_now() + WEFT_MS(200));
    T_ERR(-ETIMEDOUT,
          weft_server_new(&server, &(weft_server_options){.listen = t_anywhere(),
                                                          .serve = t_serve_echo,
                                                          .handover = address.sun_path}));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert(rude.met >= 1 && rude.met <= 25, "it was asked %u times", rude.met);
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    weft_fd_close(&rude.listener);
    T_OK(weft_path_remove_tree(folder));
}

/* Several may be asked for: which one it was is not to be guessed. */
LOOPS_TEST(listen, a_place_that_cannot_be_is_named, 1)
{
    weft_server *server;
    T_ERR(-ENOENT,
          weft_server_new(&server, &(weft_server_options){
                                       .listen = (const char *const[]){"unix:/no/folder/s", NULL},
                                       .serve = t_serve_echo}));
    cr_assert(strstr(weft_error_text(), "'unix:/no/folder/s'") != NULL, "%s", weft_error_text());
}

static void
note_trouble(void *arg, weft_stream *connection, int rc)
{
    weft_server **server = arg;
    cr_assert(connection == NULL);
    T_ERR(-ENOENT, rc);
    cr_assert(strstr(weft_error_text(), "at '/no/folder/hand'") != NULL, "%s", weft_error_text());
    weft_server_stop(*server, WEFT_SERVER_GRACE);
}

LOOPS_TEST(listen, a_hand_over_that_cannot_be_is_named, 1)
{
    weft_server *server;
    T_OK(weft_server_new(&server, &(weft_server_options){.listen = t_anywhere(),
                                                         .serve = t_serve_echo,
                                                         .arg = &server,
                                                         .on_error = note_trouble,
                                                         .handover = "/no/folder/hand"}));
    T_OK(weft_server_run(server));
    weft_server_free(server);
}
