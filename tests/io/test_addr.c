/*
 * test_addr.c - addresses from text and back.
 */
#include <arpa/inet.h>

#include "io/t_io.h"

TestSuite(addr, .timeout = 60);

static void
assert_round(const char *text, const char *shown)
{
    weft_address address;
    T_OK(weft_address_parse(&address, text));
    char buf[WEFT_ADDRESS_TEXT];
    cr_assert(weft_address_format(&address, buf, sizeof buf) == buf);
    cr_assert_str_eq(buf, shown);
    weft_address again;
    T_OK(weft_address_parse(&again, buf));
    cr_assert(again.len == address.len && memcmp(&again, &address, sizeof again) == 0);
}

Test(addr, text_and_back)
{
    assert_round("127.0.0.1:8080", "127.0.0.1:8080");
    assert_round("0.0.0.0:0", "0.0.0.0:0");
    assert_round("255.255.255.255:65535", "255.255.255.255:65535");
    assert_round("[::1]:8080", "[::1]:8080");
    assert_round("[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1");
    assert_round("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
                 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    assert_round("[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5");
}

Test(addr, unix_sockets_have_paths_or_names)
{
    char path[5 + 108 + 1] = "unix:/";
    memset(path + 6, 'p', 106); /* 107 bytes after the colon */
    assert_round("unix:/run/x.sock", "unix:/run/x.sock");
    assert_round("unix:relative", "unix:relative");
    assert_round("unix:@name:80", "unix:@name:80");
    assert_round(path, path);
    path[5] = '@';
    assert_round(path, path);
    path[112] = 'p';
    weft_address address;
    T_ERR(WEFT_E_ADDRESS, weft_address_parse(&address, path));
    path[5] = '/';
    T_ERR(WEFT_E_ADDRESS, weft_address_parse(&address, path));
    cr_assert(strstr(weft_error_text(), "longer than 107") != NULL);
    T_ERR(WEFT_E_ADDRESS, weft_address_parse(&address, "unix:"));
    T_ERR(WEFT_E_ADDRESS, weft_address_parse(&address, "unix:@"));
}

Test(addr, a_bare_port_is_any_address)
{
    assert_round(":80", "0.0.0.0:80");
}

Test(addr, is_in_network_order)
{
    weft_address address;
    T_OK(weft_address_parse(&address, "1.2.3.4:258"));
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address.storage;
    cr_assert(in->sin_family == AF_INET && address.len == sizeof *in);
    cr_assert(ntohs(in->sin_port) == 258 && ntohl(in->sin_addr.s_addr) == 0x01020304);
}

Test(addr, bad_text_is_refused_with_the_reason)
{
    static const struct {
        const char *text;
        const char *reason;
    } bad[] = {
        {"", "ends in a colon and a port"},
        {"127.0.0.1", "ends in a colon and a port"},
        {"127.0.0.1:", "ends in a colon and a port"},
        {"127.0.0.1:65536", "0 to 65535"},
        {"127.0.0.1:000080", "0 to 65535"},
        {"127.0.0.1:-1", "0 to 65535"},
        {"127.0.0.1:+1", "0 to 65535"},
        {"127.0.0.1: 1", "0 to 65535"},
        {"127.0.0.1:80a", "0 to 65535"},
        {"localhost:80", "no numeric IPv4 address"},
        {"::1:80", "no numeric IPv4 address"},
        {"1.2.3:80", "no numeric IPv4 address"},
        {"1.2.3.4.5:80", "no numeric IPv4 address"},
        {"256.1.1.1:80", "no numeric IPv4 address"},
        {"[::1:80", "not closed"},
        {"[:80", "not closed"},
        {"[]:80", "no numeric IPv6 address"},
        {"[1.2.3.4]:80", "no numeric IPv6 address"},
        {"[fe80::1%lo]:80", "no numeric IPv6 address"},
        {"[::1]x:80", "not closed"},
        {"1234567890123456789012345678901234567890123456789012345678901234567890:80", "too long"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weft_address address;
        memset(&address, 0x5a, sizeof address);
        T_ERR(WEFT_E_ADDRESS, weft_address_parse(&address, bad[i].text));
        cr_assert(strstr(weft_error_text(), bad[i].reason) != NULL, "'%s': %s", bad[i].text,
                  weft_error_text());
        cr_assert(address.len == 0x5a5a5a5a, "'%s' wrote to the output", bad[i].text);
    }
}

Test(addr, a_short_buffer_gets_a_beginning)
{
    weft_address address;
    T_OK(weft_address_parse(&address, "127.0.0.1:8080"));
    char buf[6] = "xxxxx";
    cr_assert_str_eq(weft_address_format(&address, buf, sizeof buf), "127.0");
    buf[0] = 'x';
    cr_assert(weft_address_format(&address, buf, 0) == buf && buf[0] == 'x');
}

Test(addr, another_family_is_a_question_mark)
{
    weft_address address = {.len = sizeof(sa_family_t)};
    address.storage.ss_family = AF_NETLINK;
    char buf[64];
    cr_assert_str_eq(weft_address_format(&address, buf, sizeof buf), "?");
    address.storage.ss_family = AF_UNIX; /* without a name */
    cr_assert_str_eq(weft_address_format(&address, buf, sizeof buf), "unix:");
}
