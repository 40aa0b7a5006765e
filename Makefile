# What people type. CMake builds; this only says it in one word. `make help` lists the targets.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# Warnings are errors in CI, and stay so in its checkout: another setting would build everything anew.
CONFIGURE = cmake --preset $(1) $(if $(CI),-DMILLRACE_WERROR=ON) >/dev/null

.DEFAULT_GOAL := build
.PHONY: help packages build install demo test test-sanitizers test-real bench format lint clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

packages: ## install the Debian packages that are missing
	@tools/install

build: packages ## build everything
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS)

install: build ## install the commands and pipelines below PREFIX (/usr/local)
	@cmake --install build --prefix "$(PREFIX)"

demo: packages ## run news-events over sample titles, with no network and no LLM
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS) --target demo_programs
	@demo/run

test: packages ## build and run all tests
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS)
	@tools/test build

test-sanitizers: packages ## tests under the address, undefined-behaviour and thread sanitizers
	@$(call CONFIGURE,asan) && cmake --build build-asan -j $(JOBS) && tools/test build-asan
	@$(call CONFIGURE,tsan) && cmake --build build-tsan -j $(JOBS) --target thread_tests
	@tools/test build-tsan -R "$$(cat build-tsan/thread_tests)"

test-real: build ## tests against a real grpcurl, built once, and in real time
	@tools/test-real

bench: build ## print the table of figures
	@tests/bench/run

format: ## format the sources
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

lint: ## lint the protos, and the names in all sources (slow; needs clang-tidy)
	@tools/lint
	@tools/lint-names

clean: ## remove what was built
	@rm -rf build build-*
