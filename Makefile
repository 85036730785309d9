# `make help` lists the targets. Everything is built below build/ and node_modules/; tools and caches lie in .cache/.

MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
NODE_BIN := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin
NODE := $(NODE_BIN)/node
# npm itself runs on the machine's Node; everything else on the pinned one.
RUN := PATH=$(NODE_BIN):$$PATH
JEST := $(RUN) NODE_OPTIONS=--experimental-vm-modules node_modules/.bin/jest
CMAKE_FLAGS := -DCMAKE_BUILD_TYPE=Release

.PHONY: help deps build native ts run test unit fields ctest lint gen sanitize e2e chaos bench bench-pull crictl critest kubelet fresh clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

deps: ## check npm, install missing Debian packages, npm ci
	@tools/deps
	@$(MAKE) node_modules/.package-lock.json

node_modules/.package-lock.json: package-lock.json
	@echo '==> npm ci'
	@npm ci --ignore-scripts --no-fund --no-audit
	@touch $@

build: node_modules/.package-lock.json native ts ## build the native programs and the TypeScript

native: build/native/CMakeCache.txt
	@echo '==> native programs'
	@cmake --build build/native --parallel $(JOBS)

build/native/CMakeCache.txt: native/CMakeLists.txt node_modules/.package-lock.json
	@echo '==> cmake'
	@mkdir -p build && cmake -S native -B build/native $(CMAKE_FLAGS) >build/cmake.log 2>&1 || { cat build/cmake.log; \
	  echo "berth: cmake failed; 'make deps' installs what it needs" >&2; exit 1; }

ts: node_modules/.package-lock.json
	@echo '==> TypeScript'
	@$(RUN) node_modules/.bin/tsc -p tsconfig.build.json

run: ## run a real pod and keep serving (ONCE=1: end after the pod and leave nothing)
	@tools/need-root 'to run pods' run
	@$(MAKE) deps build
	@$(RUN) node -C berth-src tools/run-demo.ts $(if $(ONCE),--once)

test: ## everything: unit tests, native tests, sanitizers, end to end; ends with "N passed, N failed"
	@tools/need-root 'for the end-to-end tests' test
	@tools/deps test
	@$(MAKE) deps build
	@$(RUN) node -C berth-src tools/test-all.ts

unit: node_modules/.package-lock.json ## the unit tests alone
	@$(JEST) --selectProjects unit

fields: node_modules/.package-lock.json ## take each field of CRI away in turn, and see that its test notices
	@$(JEST) tools/cri-fields --selectProjects unit --verbose

ctest: native ## the native tests alone
	@ctest --test-dir build/native --output-on-failure

lint: node_modules/.package-lock.json ## types, eslint, formatting, generated files
	@tools/lint

gen: node_modules/.package-lock.json ## make the generated files again
	@$(RUN) npm run --silent gen

sanitize: build/sanitize/CMakeCache.txt ## all native tests under address and undefined-behaviour sanitizers, the shim's as root
	@cmake --build build/sanitize --parallel $(JOBS)
	@ctest --test-dir build/sanitize --parallel $(JOBS) --output-on-failure

build/sanitize/CMakeCache.txt: native/CMakeLists.txt node_modules/.package-lock.json
	@cmake -S native -B build/sanitize -DCMAKE_BUILD_TYPE=Debug -DBERTH_SANITIZE=ON >/dev/null

e2e: ## end-to-end tests as root (FILE=smoke for one file)
	@tools/need-root 'for the end-to-end tests' e2e
	@tools/deps test
	@$(MAKE) build
	@tools/get-crictl >/dev/null
	@$(JEST) --selectProjects e2e --runInBand $(FILE)

chaos: ## kill berthd and damage its store, again and again (SEEDS=300, FROM=n for the first seed)
	@tools/need-root 'for the end-to-end tests' chaos
	@tools/deps test
	@$(MAKE) build
	@BERTH_SEEDS=$(or $(SEEDS),300) BERTH_SEED=$(FROM) $(JEST) --selectProjects e2e --runInBand chaos

bench: ## measure beside other runtimes
	@tools/need-root 'to measure pods' bench
	@$(MAKE) build
	@$(RUN) node -C berth-src bench/main.ts

bench-pull: ## measure pulls beside other runtimes
	@tools/need-root 'to measure pulls' bench-pull
	@tools/deps test
	@$(MAKE) build
	@$(RUN) node -C berth-src bench/pull/main.ts

crictl: ## build the real crictl into .cache/
	@tools/get-crictl

critest: ## the CRI's conformance tests (FOCUS=regexp, MODE=cni, WEBSOCKET=1, SEED=n)
	@tools/need-root 'to run pods' critest
	@tools/deps test
	@$(MAKE) build
	@$(RUN) node -C berth-src e2e/critest/main.ts

kubelet: ## run static pods on Berth under a real kubelet
	@tools/need-root 'to run pods' kubelet
	@tools/deps test
	@$(MAKE) build
	@tools/get-kubelet >/dev/null
	@$(JEST) --selectProjects kubelet --runInBand

fresh: node_modules/.package-lock.json ## build and run in new roots of Debian 12 and 13 (RELEASE=trixie: one of them)
	@tools/need-root 'to make roots' fresh
	@tools/deps test
	@$(RUN) node -C berth-src tools/fresh/main.ts

clean: ## remove build/ (not node_modules/ and .cache/)
	@rm -rf build
