# make              build the programs into build/
# make demo         simulate three groups, run the daemon on them, show the mosaic
# make check        run every test              (SAN=address,undefined: under sanitizers)
# make lint         formatting, static analysis, layer rules
# make bench        speed and memory beside the peers     (make torture: the long fault trials;
#                   make moody: every test beside twelve busy processes)
# make fuzz         readers of other people's bytes against made-up ones  (FUZZ_SECONDS=5 each; T=uvh5)
# make install      DESTDIR=... PREFIX=/usr/local: programs, manual pages, systemd units (make uninstall)
# Packages from etc/packages are installed by demo, check and deps when they are missing.
CC      ?= cc
CFLAGS  ?= -O2 -g
OPT     ?= -O3 -fno-math-errno
WARN    := -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
           -Wmissing-prototypes -Wvla -Werror
CXX     ?= c++
# the one C++ file, pipeline/io/ms.cc; casacore's headers are no place for -Wconversion
CXXWARN := -std=c++14 -Wall -Wextra -Wpedantic -Wshadow -Werror
PKGS     = libuv cfitsio hdf5 sqlite3 fftw3f erfa libpng jansson libcrypto libpq
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
comma   := ,
BUILD   := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
VERSION := 0.1.0

ALL_CFLAGS = -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(WARN) $(CFLAGS) $(OPT) $(SANFLAG) -I. \
             $(shell pkg-config --cflags $(PKGS))
ALL_CXXFLAGS = $(filter-out $(WARN),$(ALL_CFLAGS)) $(CXXWARN)
# each program gets the libraries that it calls: the daemon none that reads HDF5 or FITS
LDLIBS     = -Wl,--as-needed $(shell pkg-config --libs $(PKGS)) -liniparser -lm -lpthread \
             -lcasa_ms -lcasa_measures -lcasa_tables -lcasa_casa -lstdc++

# tools/NAME.c is a program; parts of a large one lie in tools/NAME/
MAIN_SRC := watcherd/main.c watcherd/task_main.c
LIB_SRC  := $(filter-out $(MAIN_SRC),$(sort $(shell find core locks pipeline watcherd tools/*/ -name '*.c')))
TOOL_SRC := $(wildcard tools/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
BENCH_SRC := $(wildcard tests/bench_*.c)
CXX_SRC  := $(sort $(shell find pipeline -name '*.cc'))
ALL_SRC  := $(LIB_SRC) $(MAIN_SRC) $(TOOL_SRC) $(TEST_SRC) $(BENCH_SRC) $(wildcard tests/fuzz/*.c)
HEADERS  := $(sort $(shell find core locks pipeline watcherd tools tests -name '*.h'))
# One archive a room, linked in the order of the layers: a room that calls one above it does not link.
ROOMS    := tools watcherd pipeline locks core
LIBS     := $(ROOMS:%=$(BUILD)/lib%.a)
PROGS    := $(BUILD)/watcherd $(BUILD)/watcherd-task $(TOOL_SRC:tools/%.c=$(BUILD)/%)
TESTS    := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
BENCHES  := $(BENCH_SRC:tests/%.c=$(BUILD)/tests/%)
MAN      := $(wildcard etc/man/*.[1-8])
UNITS    := $(wildcard etc/systemd/*.service etc/systemd/*.timer etc/systemd/*.target)

all: $(PROGS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.cc
	@mkdir -p $(@D)
	@echo '  CXX  $<'
	@$(CXX) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

# the commit is known to one file only, made again when it changes
$(BUILD)/obj/core/version.o: OPT += -DCOMMIT='"$(shell git rev-parse --short=12 HEAD 2>/dev/null)"'
$(BUILD)/obj/core/version.o: $(wildcard .git/logs/HEAD)
# the table of earth orientation is in it
$(BUILD)/obj/pipeline/sky/earth.o: etc/earth.csv
# a multiplication and an addition in one: -std=c11 alone forbids it
$(BUILD)/obj/pipeline/imaging/runs.o: OPT += -ffp-contract=fast
$(BUILD)/obj/pipeline/imaging/columns.o: OPT += -ffp-contract=fast
$(BUILD)/obj/pipeline/imaging/normal_near.o: OPT += -ffp-contract=fast
# the same, and comparisons as masks: nobody looks at the traps
$(BUILD)/obj/pipeline/cal/lines.o: OPT += -ffp-contract=fast -fno-trapping-math
$(BUILD)/obj/pipeline/flag/threshold.o: OPT += -ffp-contract=fast -fno-trapping-math

define room
$(BUILD)/lib$(1).a: $(patsubst %,$(BUILD)/obj/%.o,$(basename $(filter $(1)/%,$(LIB_SRC) $(CXX_SRC))))
	@rm -f $$@
	@$(AR) rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

$(BUILD)/watcherd: $(BUILD)/obj/watcherd/main.o $(LIBS)
	@echo '  LINK $@'
	@$(CC) $(SANFLAG) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/watcherd-task: $(BUILD)/obj/watcherd/task_main.o $(LIBS)
	@echo '  LINK $@'
	@$(CC) $(SANFLAG) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(TOOL_SRC:tools/%.c=$(BUILD)/%): $(BUILD)/%: $(BUILD)/obj/tools/%.o $(LIBS)
	@echo '  LINK $@'
	@$(CC) $(SANFLAG) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# A test is linked again when a room changes whose headers it includes, or one below that.
$(TESTS) $(BENCHES): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o | $(LIBS)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(SANFLAG) $(LDFLAGS) -o $@ $< $(LIBS) $(LDLIBS) -lcmocka
# what includes a header of room 1 waits for the archives 2
define relink
$(patsubst $(BUILD)/obj/%.d,$(BUILD)/%,$(shell grep -ls ' $(1)/' $(BUILD)/obj/tests/*.d)) $(BUILD)/none: $(2:%=$(BUILD)/lib%.a)
endef
$(eval $(call relink,tools,$(ROOMS)))
$(eval $(call relink,watcherd,watcherd pipeline locks core))
$(eval $(call relink,pipeline,pipeline core))
$(eval $(call relink,locks,locks core))
$(eval $(call relink,core,core))

tests: $(TESTS)
benches: $(BENCHES)

deps:
	@tools/deps etc/packages
deps-dev: deps
	@tools/deps etc/packages-dev

demo: deps
	@$(MAKE) --no-print-directory -s -j2 all
	@BUILD=$(BUILD) tools/demo

check: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@BUILD=$(BUILD) CC="$(CC)" tests/run $(T)

torture: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@BUILD=$(BUILD) CC="$(CC)" tests/run --torture $(T)

# every test, three times, on a machine that is busy with something else
moody: deps deps-dev
	@$(MAKE) --no-print-directory -j2 all tests
	@BUILD=$(BUILD) CC="$(CC)" tests/moody

# Readers under libFuzzer, with clang's sanitizers, in a build of their own.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_SAN := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIBS)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) -fsanitize=fuzzer $(SANFLAG) $(LDFLAGS) -o $@ $^ $(LDLIBS)
fuzzers: $(FUZZERS)
fuzz: deps-dev
	@$(MAKE) --no-print-directory -j2 CC="$(FUZZ_CC)" CXX="$(FUZZ_CC)++" BUILD=build-fuzz OPT=-O1 \
	    WARN='-std=c11 -Wall -Wno-unknown-attributes -Wno-pass-failed' SANFLAG='$(FUZZ_SAN) -fsanitize=fuzzer-no-link' fuzzers
	@BUILD=build-fuzz tests/fuzz/run $(T)
FUZZ_CC  ?= clang

bench: deps-dev
	@$(MAKE) --no-print-directory -j2 all benches
	@BUILD=$(BUILD) tests/bench $(T)

lint: deps-dev
	clang-format --dry-run --Werror $(ALL_SRC) $(CXX_SRC) $(HEADERS)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --suppress=varFuncNullUB --enable=warning,portability \
	    --std=c11 -D_GNU_SOURCE -I. $(LIB_SRC) $(MAIN_SRC) $(TOOL_SRC)
	tools/layers
	tools/contracts

format:
	clang-format -i $(ALL_SRC) $(CXX_SRC) $(HEADERS)

# The units, and what else names a folder, say /usr/local and /etc; they are told where they really are.
PLACED   = sed 's|/usr/local/|$(PREFIX)/|g; s|/etc/watcherd|$(SYSCONFDIR)/watcherd|g'
CONF     = $(DESTDIR)$(SYSCONFDIR)/watcherd/watcherd.conf
# the names of the seed's runbook
ALIASES  = watcherd.service:dsa110-mosaic-daemon.service watcherd-worker@.service:dsa110-absurd-worker@.service

install: all
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/watcherd $(DESTDIR)$(UNITDIR) $(dir $(CONF)) \
	    $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	@install $(PROGS) $(DESTDIR)$(PREFIX)/bin
	@install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/watcherd/README.md
	@install -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/watcherd/copyright
	@install -m 644 etc/watcherd.conf etc/interference.csv etc/earth.csv etc/README.md $(DESTDIR)$(PREFIX)/share/watcherd
	@[ -e $(CONF) ] || install -m 644 etc/watcherd.conf $(CONF)
	@for page in $(MAN); do install -D -m 644 $$page \
	    $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	@for unit in $(UNITS); do $(PLACED) $$unit >$(DESTDIR)$(UNITDIR)/$${unit##*/} && \
	    chmod 644 $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; done
	@for alias in $(ALIASES); do ln -sf $${alias%:*} $(DESTDIR)$(UNITDIR)/$${alias#*:} || exit 1; done
	@install -m 644 etc/systemd/watcherd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/watcherd.conf
	@install -m 644 etc/systemd/watcherd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/watcherd.conf
	@[ -n "$(DESTDIR)" ] || printf '%s\n' "installed below $(PREFIX).  Now, as root:" \
	    "  systemd-sysusers && systemd-tmpfiles --create watcherd.conf && systemctl daemon-reload" \
	    "  editor $(CONF) && $(PREFIX)/bin/watcherd --check-config" \
	    "  systemctl enable --now watcherd     # $(PREFIX)/share/watcherd/README.md is the runbook"

# What install brought; settings that were edited stay, and so do data.
uninstall:
	rm -f $(PROGS:$(BUILD)/%=$(DESTDIR)$(PREFIX)/bin/%)
	for page in $(MAN); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/watcherd
	rm -f $(UNITS:etc/systemd/%=$(DESTDIR)$(UNITDIR)/%)
	for alias in $(ALIASES); do rm -f $(DESTDIR)$(UNITDIR)/$${alias#*:}; done
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/watcherd.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/watcherd.conf
	! cmp -s etc/watcherd.conf $(CONF) || rm -f $(CONF)
	[ ! -e $(CONF) ] || echo "kept: $(CONF)"
	rm -rf $(DESTDIR)$(PREFIX)/share/watcherd
	[ ! -d $(dir $(CONF)) ] || rmdir --ignore-fail-on-non-empty $(dir $(CONF))

clean:
	rm -rf build build-*

.PHONY: all tests benches deps deps-dev demo check torture moody fuzz fuzzers bench lint format install uninstall clean
-include $(ALL_SRC:%.c=$(BUILD)/obj/%.d) $(CXX_SRC:%.cc=$(BUILD)/obj/%.d)
