/*
 * test_stream.c - the transports of the core: what every transport must do.
 */
#include "tests/conformance/stream_kit.h"

STREAM_KIT(stream_tcp, stream_kit_tcp)
STREAM_KIT(stream_unix, stream_kit_unix)
STREAM_KIT(stream_pipe, stream_kit_pipe)
STREAM_KIT(stream_memory, stream_kit_memory)
STREAM_KIT(stream_tiny, stream_kit_tiny)
