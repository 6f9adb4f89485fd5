/*
 * weft.h - all of weft, in the order of its layers.
 */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/error.h>
#include <weft/time.h>
#include <weft/run.h>
#include <weft/loop.h>
#include <weft/task.h>
#include <weft/scope.h>
#include <weft/local.h>
#include <weft/group.h>
#include <weft/future.h>
#include <weft/promise.h>
#include <weft/wait.h>
#include <weft/gather.h>
#include <weft/sync.h>
#include <weft/gen.h>
#include <weft/retry.h>
#include <weft/rate.h>
#include <weft/ticker.h>
#include <weft/chan.h>
#include <weft/broadcast.h>
#include <weft/watch.h>
#include <weft/select.h>
#include <weft/queue.h>
#include <weft/executor.h>
#include <weft/debug.h>
#include <weft/fd.h>
#include <weft/net.h>
#include <weft/stream.h>
#include <weft/file.h>
#include <weft/dir.h>
#include <weft/signal.h>
#include <weft/process.h>
#include <weft/notify.h>
#include <weft/http.h>
#include <weft/server.h>
#include <weft/tls.h>
#include <weft/http_server.h>
#include <weft/http_client.h>
#include <weft/udp.h>
#include <weft/resolve.h>
#include <weft/connect.h>
#include <weft/dns.h>
#include <weft/procpool.h>
#include <weft/job.h>
#include <weft/worker.h>

#endif
