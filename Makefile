# weft's only build file: library, tools, tests and checks. `make help` lists the targets.
#
# What is built lands in build/<mode>/, one folder for each set of flags, so modes never mix.
# Sources are found by wildcard: a new file in its folder is part of the build. Nothing here asks
# pkg-config, so that this file can be read on a machine that has only git, make and gcc; the
# targets that need more first run .ci/deps and then make again.

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
SOMAJOR := 0

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=

# ---- What the caller chooses ----------------------------------------------------------------
# MODE    release test asan ubsan tsan valgrind fuzz fuzz-afl lint-gcc lint-clang
# CTX     ucontext: the portable context switch instead of assembly
# FILTER  tests to run, as in FILTER='task/*'
# V=1     show the commands

MODE   ?= release
CTX    ?=
FILTER ?=
Q := $(if $(V),,@)

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz-afl,$(MODE)),afl-clang-fast,$(if $(filter fuzz tsan lint-clang,$(MODE)),clang,gcc))
endif
AR ?= ar

# ---- Modes ----------------------------------------------------------------------------------

OPT_release    := -O2
OPT_test       := -O2 -DWEFT_TEST=1
OPT_asan       := -O1 -DWEFT_TEST=1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_ubsan      := -O1 -DWEFT_TEST=1 -fsanitize=undefined -fno-sanitize-recover=undefined
OPT_tsan       := -O1 -DWEFT_TEST=1 -fsanitize=thread -isystem tests/support/tsan
OPT_valgrind   := -O1 -DWEFT_TEST=1 -DWEFT_VALGRIND=1
OPT_fuzz       := -O1 -DWEFT_TEST=1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
OPT_fuzz-afl   := -O1 -DWEFT_TEST=1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_lint-gcc   := -O2 -DWEFT_TEST=1 -Werror
OPT_lint-clang := -O2 -DWEFT_TEST=1 -Werror
ifndef OPT_$(MODE)
$(error MODE=$(MODE) is none of: release test asan ubsan tsan valgrind fuzz fuzz-afl lint-gcc lint-clang)
endif

# The switch: assembly where we have it, ucontext elsewhere or when asked for.
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
ifeq ($(filter x86_64 aarch64,$(ARCH)),)
CTX := ucontext
endif

BUILD := build/$(MODE)$(if $(CTX),-$(CTX))
OBJ   := $(BUILD)/obj

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CODEGEN  := -std=gnu11 -g -fno-omit-frame-pointer -fstack-clash-protection -pthread -fPIC \
            -fvisibility=hidden
ALL_CPPFLAGS := -D_GNU_SOURCE= -Iinclude $(if $(CTX),-DWEFT_CTX_UCONTEXT=1) $(CPPFLAGS)
ALL_CFLAGS   := $(CODEGEN) $(WARNINGS) $(OPT_$(MODE)) $(CFLAGS)
# The library sees its private headers as "loop/loop_priv.h"; workers, examples and benches see
# public headers and their own folder, like any user. Tests see everything, and keep default
# visibility: Criterion and BoxFort look names up in the program.
FOR_LIB   := -iquote lib
FOR_BENCH := -iquote bench
FOR_TESTS := -fvisibility=default $(addprefix -iquote ,. lib tests tests/support bench workers)
ALL_LDFLAGS  := -pthread $(filter -fsanitize=%,$(OPT_$(MODE))) $(LDFLAGS)
LIBS         := -levent_core $(LDLIBS)

# ---- Sources --------------------------------------------------------------------------------

objects_of = $(patsubst %,$(OBJ)/%.o,$(basename $(1)))

# Three libraries beside the core, so that it needs neither c-ares nor OpenSSL nor curl. They use
# its public headers alone, as any program does.
DNS_SRC   := $(sort $(wildcard lib/io/dns*.c))
TLS_SRC   := $(sort $(wildcard lib/io/tls*.c))
HTTP_SRC  := $(sort $(wildcard lib/http/*.c))
LIB_SRC   := $(filter-out lib/ctx/ctx_ucontext.c $(DNS_SRC) $(TLS_SRC) $(HTTP_SRC),$(sort $(wildcard lib/*/*.c))) \
             $(if $(CTX),lib/ctx/ctx_ucontext.c,$(wildcard lib/ctx/ctx_$(ARCH).S)) \
             $(filter-out workers/weft-worker.c,$(sort $(wildcard workers/*.c)))
JOB_SRC   := $(sort $(wildcard workers/jobs/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))
TEST_SRC  := $(sort $(wildcard tests/*/test_*.c tests/conformance/*.c tests/stress/*.c)) \
             $(filter-out %_criterion.c,$(sort $(wildcard tests/support/*.c))) \
             $(wildcard tests/support/$(MODE)_criterion.c)
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/*.c))
EXAMPLES  := $(sort $(wildcard examples/*.c))
# A larger example is a folder; its program bears the folder's name.
LARGE     := $(patsubst examples/%/main.c,%,$(sort $(wildcard examples/*/main.c)))
LARGE_SRC := $(sort $(wildcard examples/*/*.c))
NET_SHARED := bench/net/load.c bench/net/load_tls.c bench/net/serving.c
BENCHES   := $(sort $(wildcard bench/micro/*.c) $(filter-out $(NET_SHARED),$(wildcard bench/net/*.c)))
NET_SRC   := $(sort $(NET_SHARED) $(wildcard bench/rivals/*_echo.c bench/rivals/*_http.c))

LIB_OBJ   := $(call objects_of,$(LIB_SRC))
DNS_OBJ   := $(call objects_of,$(DNS_SRC))
TLS_OBJ   := $(call objects_of,$(TLS_SRC))
HTTP_OBJ  := $(call objects_of,$(HTTP_SRC))
JOB_OBJ   := $(call objects_of,$(JOB_SRC))
BENCH_OBJ := $(call objects_of,$(BENCH_SRC))
NET_OBJ   := $(call objects_of,$(NET_SRC))
TEST_OBJ  := $(call objects_of,$(TEST_SRC))
FUZZ_OBJ  := $(call objects_of,$(FUZZ_SRC))
ALL_OBJ   := $(LIB_OBJ) $(DNS_OBJ) $(TLS_OBJ) $(HTTP_OBJ) $(JOB_OBJ) $(BENCH_OBJ) $(NET_OBJ) $(TEST_OBJ) $(FUZZ_OBJ) \
             $(call objects_of,$(EXAMPLES) $(LARGE_SRC) $(BENCHES) $(wildcard workers/weft-worker.c))

STATIC := $(BUILD)/libweft.a
SHARED := $(BUILD)/libweft.so.$(VERSION)
# weft's other libraries, as far as there is anything in them, in the order a linker wants.
MORE        := $(if $(HTTP_SRC),http) $(if $(TLS_SRC),tls) $(if $(DNS_SRC),dns)
MORE_STATIC := $(MORE:%=$(BUILD)/libweft-%.a)
MORE_SHARED := $(MORE:%=$(BUILD)/libweft-%.so.$(VERSION))
DNS_LIBS    := -lcares
TLS_LIBS    := -lssl -lcrypto
HTTP_LIBS   := -lcurl
TOOLS  := $(if $(wildcard workers/weft-worker.c),$(BUILD)/weft-worker) \
          $(if $(wildcard bench/main.c),$(BUILD)/weft-compare)
EXAMPLE_BIN := $(EXAMPLES:examples/%.c=$(BUILD)/examples/%) $(LARGE:%=$(BUILD)/examples/%)
BENCH_BIN   := $(patsubst %.c,$(BUILD)/bench/%,$(notdir $(BENCHES)))
TESTS       := $(BUILD)/weft-tests

# ---- Building -------------------------------------------------------------------------------

.PHONY: all lib core tools examples benches objects
all: lib tools examples benches
core: $(STATIC) $(SHARED)
lib: core $(MORE_STATIC) $(MORE_SHARED)
tools: $(TOOLS)
examples: $(EXAMPLE_BIN)
benches: $(BENCH_BIN)
objects: $(ALL_OBJ)

# Two small files remember the flags and the list of sources; they are rewritten only when these
# change, so other flags rebuild, a deleted source relinks, and a second make does nothing. Targets
# that build nothing in this mode themselves leave them alone.
ELSEWHERE := net-test test asan ubsan tsan valgrind fuzz fuzz-afl record-tests cross-test compare bench rivals lint fmt \
             uninstall deps clean help
ifneq ($(filter-out $(ELSEWHERE),$(or $(MAKECMDGOALS),all)),)
FLAGS_NOW   := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(FOR_LIB) $(FOR_BENCH) $(FOR_TESTS) $(ALL_LDFLAGS) $(LIBS)
SOURCES_NOW := $(LIB_SRC) $(DNS_SRC) $(TLS_SRC) $(HTTP_SRC) $(JOB_SRC) $(BENCH_SRC) $(TEST_SRC) $(FUZZ_SRC)
ifneq ($(file <$(BUILD)/flags),$(FLAGS_NOW))
$(shell mkdir -p $(BUILD))$(file >$(BUILD)/flags,$(FLAGS_NOW))
endif
ifneq ($(file <$(BUILD)/sources),$(SOURCES_NOW))
$(file >$(BUILD)/sources,$(SOURCES_NOW))
endif
endif
$(BUILD)/flags $(BUILD)/sources: ;

$(OBJ)/lib/%.o: PRIVATE := $(FOR_LIB)
$(OBJ)/tests/%.o: PRIVATE := $(FOR_TESTS)
$(OBJ)/bench/%.o: PRIVATE := $(FOR_BENCH)

$(OBJ)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CC    $<")
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(PRIVATE) -MMD -MP -c $< -o $@

$(OBJ)/%.o: %.S $(BUILD)/flags
	@mkdir -p $(@D)
	@$(if $(Q),echo "  AS    $<")
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(PRIVATE) -MMD -MP -c $< -o $@

-include $(ALL_OBJ:.o=.d)

$(STATIC): $(LIB_OBJ) $(BUILD)/sources
	@$(if $(Q),echo "  AR    $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

# -z defs: a symbol that nobody provides fails here, not at the user's. The sanitizers' runtime is
# provided by the program, so their libraries cannot ask for that.
$(SHARED): $(LIB_OBJ) $(BUILD)/sources
	@$(if $(Q),echo "  LD    $@")
	$(Q)$(CC) -shared -Wl,-soname,libweft.so.$(SOMAJOR) $(if $(findstring -fsanitize,$(ALL_LDFLAGS)),,-Wl,-z,defs) \
	    $(ALL_LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)
	@ln -sf $(@F) $(BUILD)/libweft.so.$(SOMAJOR)
	@ln -sf libweft.so.$(SOMAJOR) $(BUILD)/libweft.so

define MORE_RULES
$(BUILD)/libweft-$(1).a: $$($(2)_OBJ) $(BUILD)/sources
	@$(if $(Q),echo "  AR    $$@")
	$(Q)rm -f $$@ && $(AR) rcs $$@ $$($(2)_OBJ)

$(BUILD)/libweft-$(1).so.$(VERSION): $$($(2)_OBJ) $(SHARED) $(3:%=$(BUILD)/libweft-%.so.$(VERSION)) $(BUILD)/sources
	@$(if $(Q),echo "  LD    $$@")
	$(Q)$(CC) -shared -Wl,-soname,libweft-$(1).so.$(SOMAJOR) $(if $(findstring -fsanitize,$(ALL_LDFLAGS)),,-Wl$(,)-z$(,)defs) \
	    $(ALL_LDFLAGS) -o $$@ $$($(2)_OBJ) -L$(BUILD) $(3:%=-lweft-%) -lweft $$($(2)_LIBS)
	@ln -sf $$(@F) $(BUILD)/libweft-$(1).so.$(SOMAJOR)
	@ln -sf libweft-$(1).so.$(SOMAJOR) $(BUILD)/libweft-$(1).so
endef
, := ,
$(eval $(call MORE_RULES,dns,DNS,))
$(eval $(call MORE_RULES,tls,TLS,))
$(eval $(call MORE_RULES,http,HTTP,$(if $(TLS_SRC),tls)))

# The tools load jobs from a user's .so, which calls weft: they carry the whole library, exported.
WHOLE := -rdynamic -Wl,--whole-archive $(STATIC) -Wl,--no-whole-archive

link = $(if $(Q),@echo "  LD    $@" && )mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@

$(BUILD)/weft-worker: $(OBJ)/workers/weft-worker.o $(JOB_OBJ) $(STATIC)
	$(link) $(filter %.o,$^) $(WHOLE) $(LIBS) -ldl -lm

$(BUILD)/weft-compare: $(BENCH_OBJ) $(JOB_OBJ) $(STATIC) $(BUILD)/sources
	$(link) $(filter %.o,$^) $(WHOLE) $(LIBS) -ldl -lm

# What a program of ours may need beside the core; what it does not need is left out.
ALL_LIBS := -Wl,--as-needed $(if $(HTTP_SRC),$(HTTP_LIBS)) $(if $(TLS_SRC),$(TLS_LIBS)) \
            $(if $(DNS_SRC),$(DNS_LIBS)) $(LIBS)

$(BUILD)/examples/%: $(OBJ)/examples/%.o $(MORE_STATIC) $(STATIC)
	$(link) $^ $(ALL_LIBS) -lm -ljansson

define LARGE_RULES
$(BUILD)/examples/$(1): $(call objects_of,$(wildcard examples/$(1)/*.c)) $(MORE_STATIC) $(STATIC) $(BUILD)/sources
	$$(link) $$(filter-out %/sources,$$^) $$(ALL_LIBS) -lm -ljansson
endef
$(foreach name,$(LARGE),$(eval $(call LARGE_RULES,$(name))))

STAT_OBJ := $(call objects_of,$(wildcard bench/stat.c))
$(BUILD)/bench/%: $(OBJ)/bench/micro/%.o $(STAT_OBJ) $(STATIC)
	$(link) $^ $(LIBS) -ldl -lm
# The network benches share one client and the rivals they are measured against.
$(BUILD)/bench/%: $(OBJ)/bench/net/%.o $(NET_OBJ) $(STAT_OBJ) $(MORE_STATIC) $(STATIC)
	$(link) $^ -Wl,--as-needed -levent $(ALL_LIBS) -ldl -lm

# One Criterion program with all tests, linked with the objects, so that it reaches weft__ names.
$(TESTS): $(TEST_OBJ) $(LIB_OBJ) $(DNS_OBJ) $(TLS_OBJ) $(HTTP_OBJ) $(JOB_OBJ) $(filter-out $(OBJ)/bench/main.o,$(BENCH_OBJ)) $(BUILD)/sources
	$(link) -rdynamic $(filter %.o,$^) $(HTTP_LIBS) $(TLS_LIBS) $(DNS_LIBS) -lhiredis -levent $(LIBS) -lcriterion -ldl -lm

# ---- Testing --------------------------------------------------------------------------------
# Each of these makes sure of its packages and then makes `check` in its mode. Plain `make test`
# also tries the tools, the examples, the programs of others and the models; the other modes run the
# unit tests.

.PHONY: net-test test asan ubsan tsan valgrind check record-tests cross-test
test:
	@.ci/deps build net test strangers
	@+$(MAKE) --no-print-directory MODE=test check

asan ubsan:
	@.ci/deps build net test
	@+$(MAKE) --no-print-directory MODE=$@ check

tsan valgrind:
	@.ci/deps build net test $@
	@+$(MAKE) --no-print-directory MODE=$@ check

PARTS ?= unit $(if $(filter test,$(MODE)),$(if $(CTX)$(FILTER),,tools examples strangers models))

check: $(TESTS) $(BUILD)/reaper $(filter tools examples,$(PARTS)) $(if $(filter strangers net,$(PARTS)),$(STATIC) $(MORE_STATIC) examples)
	@MODE='$(MODE)' BUILD='$(BUILD)' FILTER='$(FILTER)' tests/support/check.sh $(PARTS)

# Floods, slow clients, half-open peers and lossy networks: some ten minutes, so not part of `test`.
# Network namespaces need root.
net-test:
	@.ci/deps build net test strangers
	@+$(MAKE) --no-print-directory MODE=test PARTS=net check

record-tests:
	@+$(MAKE) --no-print-directory MODE=test PARTS=unit check
	@cp build/test/check/ran tests/support/expected-tests
	@echo "tests/support/expected-tests: $$(cat tests/support/expected-tests)"

# Runs a program and notices what it leaves behind; part of the gate, not of the tests.
$(BUILD)/reaper: tests/support/gate/reaper.c $(BUILD)/flags
	$(Q)gcc -std=gnu11 $(WARNINGS) -O2 -o $@ $<

cross-test:
	@.ci/deps build cross
	@.ci/cross

# ---- Fuzzing --------------------------------------------------------------------------------
# One program for each tests/fuzz/*.c, with all objects of the library. In MODE=fuzz libFuzzer is
# its main; in the other modes tests/fuzz/main.c is, which runs the files it is given: AFL++ drives
# that in MODE=fuzz-afl, and a finding is looked at with it under gcc or valgrind.

FUZZ_SECONDS ?= 20
FUZZ_TARGETS := $(filter-out main fuzz,$(basename $(notdir $(FUZZ_SRC))))
FUZZ_BIN     := $(FUZZ_TARGETS:%=$(BUILD)/bin/%)
FUZZ_MAIN    := $(if $(filter fuzz,$(MODE)),,$(OBJ)/tests/fuzz/main.o)
FUZZ_CERT    := $(OBJ)/tests/support/t_cert.o

.PHONY: fuzz fuzz-afl fuzz-run fuzz-programs
fuzz fuzz-afl:
	@.ci/deps build net test fuzz
	@+$(MAKE) --no-print-directory MODE=$@ fuzz-run

fuzz-programs: $(FUZZ_BIN)

$(BUILD)/bin/tls_records: $(FUZZ_CERT)
$(BUILD)/bin/%: $(OBJ)/tests/fuzz/%.o $(FUZZ_MAIN) $(LIB_OBJ) $(DNS_OBJ) $(TLS_OBJ) $(HTTP_OBJ) $(BUILD)/sources
	$(link) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) $(filter %.o,$^) $(ALL_LIBS) -ldl -lm

# What is found is kept under the build folder; a finding worth keeping is copied to the corpus.
fuzz-run: $(FUZZ_BIN)
	@MODE='$(MODE)' BUILD='$(BUILD)' FUZZ_SECONDS='$(FUZZ_SECONDS)' tests/fuzz/run.sh $(FUZZ_TARGETS)

# ---- Measuring ------------------------------------------------------------------------------

.PHONY: compare bench rivals
compare:
	@.ci/deps build compare
	@+$(MAKE) --no-print-directory MODE=release core tools
	@build/release/weft-compare suite --out build/compare

bench:
	@.ci/deps build net
	@+$(MAKE) --no-print-directory MODE=release benches examples
	@for b in $(patsubst %.c,build/release/bench/%,$(notdir $(BENCHES))); do \
	    echo "== $$b"; "$$b" || exit 1; done

# The toolchains of others are asked for by none of our groups: what is not here is not measured.
rivals:
	@.ci/deps build net
	@+$(MAKE) --no-print-directory MODE=release benches
	@bench/rivals/run.sh

# ---- Checks of the source -------------------------------------------------------------------

.PHONY: lint fmt
lint:
	@.ci/deps build net test lint
	@+MAKE='$(MAKE)' tests/lint/run.sh

fmt:
	@tests/lint/format.sh --fix

# ---- Installing -----------------------------------------------------------------------------

.PHONY: install uninstall
HEADERS := $(sort $(wildcard include/*.h include/weft/*.h))

define WEFT_PC
prefix=$(PREFIX)
libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))
includedir=$${prefix}/include

Name: weft
Description: Structured concurrency for C: one libevent loop per core, tasks, an executor
Version: $(VERSION)
Requires.private: libevent_core
Libs: -L$${libdir} -lweft
Libs.private: -pthread
Cflags: -I$${includedir}
endef

# more_pc NAME,DESCRIPTION,REQUIRES,REQUIRES.PRIVATE
define more_pc
prefix=$(PREFIX)
libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))
includedir=$${prefix}/include

Name: weft-$(1)
Description: $(2)
Version: $(VERSION)
Requires: $(3)
Requires.private: $(4)
Libs: -L$${libdir} -lweft-$(1)
Cflags: -I$${includedir}
endef

install: lib tools
	$(file >$(BUILD)/weft.pc,$(WEFT_PC))
	$(file >$(BUILD)/weft-dns.pc,$(call more_pc,dns,Names looked up by c-ares on weft's loops,weft,libcares))
	$(file >$(BUILD)/weft-tls.pc,$(call more_pc,tls,TLS streams for weft by OpenSSL,weft,openssl))
	$(file >$(BUILD)/weft-http.pc,$(call more_pc,http,HTTP client and server for weft,weft weft-tls,libcurl))
	install -d $(DESTDIR)$(PREFIX)/include/weft $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard include/*.h) $(DESTDIR)$(PREFIX)/include
	install -m 644 $(wildcard include/weft/*.h) $(DESTDIR)$(PREFIX)/include/weft
	install -m 644 $(STATIC) $(MORE_STATIC) $(DESTDIR)$(LIBDIR)
	install -m 755 $(SHARED) $(MORE_SHARED) $(DESTDIR)$(LIBDIR)
	for l in weft $(MORE:%=weft-%); do \
	    ln -sf lib$$l.so.$(VERSION) $(DESTDIR)$(LIBDIR)/lib$$l.so.$(SOMAJOR) && \
	    ln -sf lib$$l.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/lib$$l.so && \
	    install -m 644 $(BUILD)/$$l.pc $(DESTDIR)$(LIBDIR)/pkgconfig || exit 1; done
	$(if $(strip $(TOOLS)),install -m 755 $(TOOLS) $(DESTDIR)$(PREFIX)/bin)

uninstall:
	rm -f $(HEADERS:%=$(DESTDIR)$(PREFIX)/%)
	for l in weft weft-dns weft-tls weft-http; do \
	    rm -f $(DESTDIR)$(LIBDIR)/lib$$l.a $(DESTDIR)$(LIBDIR)/lib$$l.so \
	        $(DESTDIR)$(LIBDIR)/lib$$l.so.$(SOMAJOR)* $(DESTDIR)$(LIBDIR)/pkgconfig/$$l.pc; done
	rm -f $(DESTDIR)$(PREFIX)/bin/weft-worker $(DESTDIR)$(PREFIX)/bin/weft-compare
	-rmdir $(DESTDIR)$(PREFIX)/include/weft

# ---- The rest -------------------------------------------------------------------------------

.PHONY: deps clean help
deps:
	@.ci/deps build net test compare

clean:
	rm -rf build

help:
	@printf '%s\n' \
	'make              library (static and shared), tools, examples, benches, in build/release' \
	'make test         all tests, examples, strangers and models; FILTER="task/*" for some unit tests' \
	'make compare      one job under every model, measured: table, JSON and SVG in build/compare' \
	'make bench        the micro and network benchmarks, one after the other' \
	'make rivals       the same cases in Go, Tokio, libuv and asyncio, where they are, beside ours' \
	'make net-test     hostile peers and bad networks: floods, slow clients, loss, black holes' \
	'make asan         unit tests under AddressSanitizer and UndefinedBehaviorSanitizer' \
	'make ubsan        unit tests under UndefinedBehaviorSanitizer alone' \
	'make tsan         unit tests under ThreadSanitizer (clang)' \
	'make valgrind     unit tests under memcheck (slow; FILTER helps)' \
	'make fuzz         libFuzzer on each target of tests/fuzz, FUZZ_SECONDS=20 each; fuzz-afl: AFL++' \
	'make cross-test   the aarch64 context switch, cross-built and run under qemu' \
	'make lint         layers, symbols, headers, documentation, format, -Werror builds, cppcheck' \
	'make fmt          lays the C files out as .clang-format says' \
	'make install      PREFIX=$(PREFIX) DESTDIR=; uninstall undoes it' \
	'make deps         packages for building, testing and comparing; the targets do this themselves' \
	'make record-tests writes the number of tests into tests/support/expected-tests' \
	'make clean        removes build/' \
	'' \
	'CTX=ucontext takes the portable context switch; CC, CFLAGS, LDFLAGS as usual; V=1 shows commands'
