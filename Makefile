# Short commands for people; CMake does the work. `make help` lists the targets.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# CI treats warnings as errors. CI=1 keeps that in its checkout, because changing the setting would rebuild everything.
CONFIGURE = cmake --preset $(1) $(if $(CI),-DMILLRACE_WERROR=ON) >/dev/null

.DEFAULT_GOAL := build
.PHONY: help packages build install demo test test-sanitizers test-real bench format lint clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

packages: ## install missing Debian packages
	@tools/install

build: packages ## build everything
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS)

install: build ## install the commands and pipelines to PREFIX (/usr/local)
	@cmake --install build --prefix "$(PREFIX)"

demo: packages ## run news-events on sample titles, without network or LLM
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS) --target demo_programs
	@demo/run

test: packages ## build and run all tests
	@$(call CONFIGURE,release)
	@cmake --build build -j $(JOBS)
	@tools/test build

test-sanitizers: packages ## run the tests with the address, undefined-behaviour and thread sanitizers
	@$(call CONFIGURE,asan) && cmake --build build-asan -j $(JOBS) && tools/test build-asan
	@$(call CONFIGURE,tsan) && cmake --build build-tsan -j $(JOBS) --target thread_tests
	@tools/test build-tsan -R "$$(cat build-tsan/thread_tests)"

test-real: build ## run tests with real peers (Jaeger, Ollama, ...), in real time (ten minutes)
	@tools/test-real

bench: build ## run the benchmarks and print their figures
	@tests/bench/run

format: ## format the sources
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

lint: ## lint the protos, and the names in all sources (slow; needs clang-tidy)
	@tools/lint
	@tools/lint-names

clean: ## remove all build folders
	@rm -rf build build-*
