# The front door. The build itself is Meson's (meson.build); this file says which of it is wanted,
# and installs what a Debian machine lacks for that. `make help` lists the targets.
.POSIX:
.PHONY: help demo test build install bench setup test-asan test-tsan test-clang test-neon fuzz kills
.PHONY: clean web-test

PREFIX = /usr/local
SECONDS = 60
SHAPE = SmolLM2-135M
KILLS = 20
GO_ON = echo "make: going on with what is here" >&2

help:
	@echo 'make demo         install what is missing, build, and let the built-in model tell a story'
	@echo 'make test         install what is missing, build, run every test: gcc, clang with'
	@echo '                  sanitizers, 64-bit ARM in an emulator'
	@echo 'make install      into PREFIX ($(PREFIX)), below DESTDIR if that is set'
	@echo 'make bench        build and run the benchmarks'
	@echo 'make build        build into build/'
	@echo 'make test-asan    one kind of tests alone; also: test-tsan test-clang test-neon'
	@echo 'make fuzz         run each fuzzer for SECONDS ($(SECONDS)) seconds'
	@echo 'make kills        kill a compression KILLS ($(KILLS)) times in each stage, of a checkpoint in'
	@echo '                  the shape SHAPE ($(SHAPE); Llama-2-7B takes 40 GB of disk)'
	@echo 'make web-test     test the web page in a Chromium (chromium-headless-shell, node, npm)'
	@echo 'make clients      run the official clients of the APIs against verge serve; installs their'
	@echo '                  Python packages into build-clients/'
	@echo 'make setup        install what building and testing need, nothing else'
	@echo 'make clean        remove the build folders'

demo:
	@tools/setup || $(GO_ON)
	@tools/build release app/verge
	build/app/verge run --seed 1 "Once upon a time"
	@echo; echo "That was the model inside the program. More: build/app/verge --help"

test:
	@tools/setup test || $(GO_ON)
	@tools/test release asan neon

test-asan test-tsan test-clang test-neon:
	@tools/setup test || $(GO_ON)
	@kind=$@; tools/test $${kind#test-}

build:
	@tools/setup || $(GO_ON)
	@tools/build release

install: build
	meson configure build --prefix='$(PREFIX)'
	@tools/build release
	meson install -C build --no-rebuild

bench: build
	build/bench/bench_kern
	build/bench/bench_tokenize models/default.gguf LICENSE
	build/app/verge bench
	build/app/verge bench --limits

fuzz:
	@tools/setup test || $(GO_ON)
	@tools/build fuzz
	@tools/fuzz $(SECONDS)

kills: build
	@tools/kills $(SHAPE) $(KILLS)

web-test:
	@tools/web-test

clients: build
	@tools/clients

setup:
	@tools/setup test

clean:
	rm -rf build build-debug build-clang build-asan build-tsan build-neon build-fuzz build-clients
