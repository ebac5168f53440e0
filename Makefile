# The front door.  `sudo make run` shows casco at work, `sudo make check` tests all of it.
PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
JOBS ?= $(shell nproc)

BUILD := build
BIN := $(BUILD)/bin
RELEASE := $(BUILD)/release

.PHONY: all deps deps-test build run check lint tidy unit integration parity sanitized bench install uninstall clean

all: build

# Debian packages to build with; deps-test adds what the tests need (real peers, a registry).
deps:
	tools/deps.sh build
deps-test:
	tools/deps.sh build test

$(RELEASE)/build.ninja:
	meson setup $(RELEASE) --buildtype=release -Db_lto=true -Dprefix=$(PREFIX) >/dev/null

build: $(RELEASE)/build.ninja
	ninja -C $(RELEASE) -j $(JOBS)
	tools/collect.sh $(RELEASE) $(BUILD)
	tools/mklib.sh $(BUILD) $(JOBS) $(PREFIX)

run: deps build
	tools/demo.sh $(BUILD)

check: deps-test build
	tools/check.py --build $(BUILD)
lint: build
	tools/check.py --build $(BUILD) lint
tidy: build
	tools/check.py --build $(BUILD) tidy
unit: build
	tools/check.py --build $(BUILD) unit
integration: build
	tools/check.py --build $(BUILD) integration
# runc's own tests on Debian's runc and on ours.  Not in `check`: it takes a quarter of an hour, and a Go compiler.
parity: build
	tools/deps.sh build parity
	tests/parity/runc_bats.py $(PARITY)
# The programs under ASan, UBSan and TSan in the tests of whole programs: half an hour.  SANITIZED names single files.
sanitized: build
	tools/sanitized.py --build $(BUILD) address $(SANITIZED)
	tools/sanitized.py --build $(BUILD) thread $(SANITIZED)
bench: build
	bench/run.py all

install: build
	tools/install.sh install '$(BUILD)' '$(DESTDIR)' '$(PREFIX)' '$(SYSCONFDIR)'
uninstall:
	tools/install.sh uninstall '$(BUILD)' '$(DESTDIR)' '$(PREFIX)' '$(SYSCONFDIR)'

clean:
	rm -rf $(BUILD)
