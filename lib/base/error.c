/*
 * error.c - results in words and by name, the detail of the last failure, and the version.
 *
 * The texts are constants: they may be kept, and need no lock and no locale.
 */
#include <stdarg.h>
#include <stdio.h>

#include <weft/error.h>
#include "base/log.h"

struct code {
    const char *name;
    const char *text;
};

/* Linux's errnos, each once. EWOULDBLOCK, EDEADLOCK and ENOTSUP are other names of EAGAIN,
 * EDEADLK and EOPNOTSUPP. */
#define ERRNO(name, text) [name] = {#name, text}
static const struct code errnos[] = {
    ERRNO(EPERM, "not permitted"),
    ERRNO(ENOENT, "no such file or directory"),
    ERRNO(ESRCH, "no such process"),
    ERRNO(EINTR, "interrupted by a signal"),
    ERRNO(EIO, "input or output failed"),
    ERRNO(ENXIO, "no such device or address"),
    ERRNO(E2BIG, "too many arguments"),
    ERRNO(ENOEXEC, "not an executable file"),
    ERRNO(EBADF, "not an open descriptor"),
    ERRNO(ECHILD, "no child process"),
    ERRNO(EAGAIN, "not possible right now"),
    ERRNO(ENOMEM, "out of memory"),
    ERRNO(EACCES, "permission denied"),
    ERRNO(EFAULT, "bad memory address"),
    ERRNO(ENOTBLK, "not a block device"),
    ERRNO(EBUSY, "in use"),
    ERRNO(EEXIST, "exists already"),
    ERRNO(EXDEV, "on another file system"),
    ERRNO(ENODEV, "no such device"),
    ERRNO(ENOTDIR, "not a directory"),
    ERRNO(EISDIR, "is a directory"),
    ERRNO(EINVAL, "invalid argument"),
    ERRNO(ENFILE, "too many open files in the system"),
    ERRNO(EMFILE, "too many open descriptors in this process"),
    ERRNO(ENOTTY, "not a terminal, or not for this kind of descriptor"),
    ERRNO(ETXTBSY, "program file in use"),
    ERRNO(EFBIG, "file too large"),
    ERRNO(ENOSPC, "no space left on the device"),
    ERRNO(ESPIPE, "cannot seek here"),
    ERRNO(EROFS, "file system is read-only"),
    ERRNO(EMLINK, "too many links"),
    ERRNO(EPIPE, "the reading end is closed"),
    ERRNO(EDOM, "argument outside the domain of the function"),
    ERRNO(ERANGE, "result out of range"),
    ERRNO(EDEADLK, "would wait for itself"),
    ERRNO(ENAMETOOLONG, "name too long"),
    ERRNO(ENOLCK, "no locks available"),
    ERRNO(ENOSYS, "not supported by this kernel"),
    ERRNO(ENOTEMPTY, "directory not empty"),
    ERRNO(ELOOP, "too many symbolic links"),
    ERRNO(ENOMSG, "no message of that type"),
    ERRNO(EIDRM, "identifier removed"),
    ERRNO(ECHRNG, "channel number out of range"),
    ERRNO(EL2NSYNC, "level 2 not synchronized"),
    ERRNO(EL3HLT, "level 3 halted"),
    ERRNO(EL3RST, "level 3 reset"),
    ERRNO(ELNRNG, "link number out of range"),
    ERRNO(EUNATCH, "protocol driver not attached"),
    ERRNO(ENOCSI, "no CSI structure available"),
    ERRNO(EL2HLT, "level 2 halted"),
    ERRNO(EBADE, "invalid exchange"),
    ERRNO(EBADR, "invalid request descriptor"),
    ERRNO(EXFULL, "exchange full"),
    ERRNO(ENOANO, "no anode"),
    ERRNO(EBADRQC, "invalid request code"),
    ERRNO(EBADSLT, "invalid slot"),
    ERRNO(EBFONT, "bad font file format"),
    ERRNO(ENOSTR, "not a stream device"),
    ERRNO(ENODATA, "no data available"),
    ERRNO(ETIME, "timer expired"),
    ERRNO(ENOSR, "out of stream resources"),
    ERRNO(ENONET, "machine is not on the network"),
    ERRNO(ENOPKG, "package not installed"),
    ERRNO(EREMOTE, "object is remote"),
    ERRNO(ENOLINK, "link was cut"),
    ERRNO(EADV, "advertise error"),
    ERRNO(ESRMNT, "mount error"),
    ERRNO(ECOMM, "could not send"),
    ERRNO(EPROTO, "protocol error"),
    ERRNO(EMULTIHOP, "multihop attempted"),
    ERRNO(EDOTDOT, "file server error"),
    ERRNO(EBADMSG, "bad message"),
    ERRNO(EOVERFLOW, "value too large"),
    ERRNO(ENOTUNIQ, "name not unique on the network"),
    ERRNO(EBADFD, "descriptor in a bad state"),
    ERRNO(EREMCHG, "remote address changed"),
    ERRNO(ELIBACC, "cannot reach a shared library"),
    ERRNO(ELIBBAD, "shared library is damaged"),
    ERRNO(ELIBSCN, "library section is damaged"),
    ERRNO(ELIBMAX, "too many shared libraries"),
    ERRNO(ELIBEXEC, "cannot run a shared library"),
    ERRNO(EILSEQ, "invalid sequence of bytes"),
    ERRNO(ERESTART, "interrupted call should be restarted"),
    ERRNO(ESTRPIPE, "stream pipe error"),
    ERRNO(EUSERS, "too many users"),
    ERRNO(ENOTSOCK, "not a socket"),
    ERRNO(EDESTADDRREQ, "destination address required"),
    ERRNO(EMSGSIZE, "message too long"),
    ERRNO(EPROTOTYPE, "wrong protocol for this socket"),
    ERRNO(ENOPROTOOPT, "no such protocol option"),
    ERRNO(EPROTONOSUPPORT, "protocol not supported"),
    ERRNO(ESOCKTNOSUPPORT, "socket type not supported"),
    ERRNO(EOPNOTSUPP, "operation not supported"),
    ERRNO(EPFNOSUPPORT, "protocol family not supported"),
    ERRNO(EAFNOSUPPORT, "address family not supported"),
    ERRNO(EADDRINUSE, "address in use"),
    ERRNO(EADDRNOTAVAIL, "address not available here"),
    ERRNO(ENETDOWN, "network is down"),
    ERRNO(ENETUNREACH, "network unreachable"),
    ERRNO(ENETRESET, "connection lost with its network"),
    ERRNO(ECONNABORTED, "connection aborted"),
    ERRNO(ECONNRESET, "connection reset by the other side"),
    ERRNO(ENOBUFS, "no buffer space"),
    ERRNO(EISCONN, "already connected"),
    ERRNO(ENOTCONN, "not connected"),
    ERRNO(ESHUTDOWN, "closing, or closed"),
    ERRNO(ETOOMANYREFS, "too many references"),
    ERRNO(ETIMEDOUT, "timed out"),
    ERRNO(ECONNREFUSED, "connection refused"),
    ERRNO(EHOSTDOWN, "host is down"),
    ERRNO(EHOSTUNREACH, "host unreachable"),
    ERRNO(EALREADY, "already under way"),
    ERRNO(EINPROGRESS, "under way"),
    ERRNO(ESTALE, "stale file handle"),
    ERRNO(EUCLEAN, "file system needs cleaning"),
    ERRNO(ENOTNAM, "not a named type file"),
    ERRNO(ENAVAIL, "no semaphores available"),
    ERRNO(EISNAM, "is a named type file"),
    ERRNO(EREMOTEIO, "remote input or output failed"),
    ERRNO(EDQUOT, "disk quota exceeded"),
    ERRNO(ENOMEDIUM, "no medium"),
    ERRNO(EMEDIUMTYPE, "wrong medium type"),
    ERRNO(ECANCELED, "cancelled"),
    ERRNO(ENOKEY, "no such key"),
    ERRNO(EKEYEXPIRED, "key expired"),
    ERRNO(EKEYREVOKED, "key revoked"),
    ERRNO(EKEYREJECTED, "key rejected"),
    ERRNO(EOWNERDEAD, "the process that had it died"),
    ERRNO(ENOTRECOVERABLE, "state cannot be recovered"),
    ERRNO(ERFKILL, "radio is switched off"),
    ERRNO(EHWPOISON, "memory page has a hardware error"),
};
#undef ERRNO

char *(*weft__error_task_text)(bool make);

static _Thread_local char thread_text[WEFT__ERROR_TEXT_BYTES];

/* The row of a negative result. */
static struct code
code_of(int rc)
{
    switch (rc) {
#define OWN(name, value, text)                                                                     \
    case value:                                                                                    \
        return (struct code){#name, text};
        WEFT_ERROR_TABLE(OWN)
#undef OWN
    default:
        break;
    }
    /* Compared before it is negated: INT_MIN has no positive. */
    if (rc > -(int)(sizeof errnos / sizeof *errnos) && errnos[-rc].name != NULL)
        return errnos[-rc];
    return (struct code){"EUNKNOWN", "unknown error"};
}

const char *
weft_strerror(int rc)
{
    return rc >= 0 ? "success" : code_of(rc).text;
}

const char *
weft_errname(int rc)
{
    return rc >= 0 ? "OK" : code_of(rc).name;
}

/* The buffer that belongs to the caller: the running task's, else the thread's. */
static char *
text_of_caller(bool make)
{
    char *text = weft__error_task_text != NULL ? weft__error_task_text(make) : NULL;
    return text != NULL ? text : thread_text;
}

int
weft_error_note(int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(text_of_caller(true), WEFT__ERROR_TEXT_BYTES, format, args) < 0)
        text_of_caller(true)[0] = '\0';
    va_end(args);
    return rc;
}

const char *
weft_error_text(void)
{
    return text_of_caller(false);
}

const char *
weft_version(void)
{
    return WEFT_VERSION;
}
