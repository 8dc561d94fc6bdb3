# What a person types. Everything installs what it is missing first (Debian's packages and the player's npm packages).

SHELL := /bin/bash
CARGO ?= cargo
# Errors of tests say what happened by themselves; the way they took through tokio only hides it.
export RUST_LIB_BACKTRACE = 0
URL ?= rtmp://127.0.0.1:1935/live/demo

.PHONY: run demo test test-rust test-browser seeds fuzz-api lint fmt web setup setup-test bench bench-micro bench-replay bench-ladder bench-proxy bench-origin bench-viewers bench-latency bench-scale bench-recording bench-failover compose-test chaos compat audit clean

## Runs proxy, server and origin in one process. Publish to rtmp://localhost:1935/live/demo, watch http://localhost:8080/demo
run: setup web
	$(CARGO) run --release --bin headwater -- up $(ARGS)

## Publishes a moving test picture with a clock and a beep: make demo URL=rtmp://host:1935/live/key
demo:
	deploy/setup.sh build run demo
	$(CARGO) run --release --bin headwater -- demo --url $(URL) $(ARGS)

## All tests: unit, property, contract, end to end with real Redis, ffmpeg and GStreamer, and the page in a browser
test: test-rust test-browser

test-rust: setup-test web
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --no-fail-fast

test-browser: setup-test web
	$(CARGO) build --workspace --bins
	cd web/player && npm test
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund && node --test --test-concurrency=1

## One test for each system that Headwater is to replace, as its own code or its operator would use Headwater. Two have none yet:
## video calls that are pushed out by RTMP need outputs, a presenter with viewers by WebRTC needs WHIP and WHEP
seeds: setup-test web
	$(CARGO) build --workspace --bins
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund && node --test --test-concurrency=1 seeds/*.test.mjs

## Requests by the API's own description, and some against it: make fuzz-api EXAMPLES=500 SEED=7
fuzz-api: setup-test
	deploy/setup.sh fuzz
	$(CARGO) build --bin headwater
	python3 -m venv target/schemathesis
	target/schemathesis/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund && \
	  node fuzz-api.mjs $(CURDIR)/target/schemathesis/bin/schemathesis --max-examples $(or $(EXAMPLES),40) --seed $(or $(SEED),1)

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt:
	$(CARGO) fmt --all

## Licences, advisories and sources of all dependencies (needs the network)
audit:
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	cargo deny check

## The player page, bundled into web/player/dist and from there into the origin
web: web/player/dist/index.html

web/player/dist/index.html: $(shell find web/player -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print)
	deploy/setup.sh node
	cd web/player && npm ci --ignore-scripts --no-audit --no-fund && npm run build
	touch $@

setup:
	deploy/setup.sh build run

setup-test:
	deploy/setup.sh build run test

## All benchmarks, one after the other; they rewrite BENCHMARKS.md
bench: bench-micro bench-replay bench-ladder bench-proxy bench-origin bench-viewers bench-latency bench-scale bench-recording bench-failover

## Micro benchmarks of the parts that run for every byte and every part
bench-micro:
	$(CARGO) bench -p headwater-hls -p headwater-rtmp --bench '*'

## What replay costs the proxy and the server, written into BENCHMARKS.md (SOURCE=film.mp4, ARGS=--rounds=5)
bench-replay: setup-test
	$(CARGO) build --release -p headwater -p headwater-proxy -p headwater-server -p headwater-bench
	target/release/headwater-bench replay --rounds 3 --seconds 16 $(if $(SOURCE),--source $(SOURCE)) --write BENCHMARKS.md $(ARGS)

## What the proxy costs a gigabyte, against HAProxy and nginx-rtmp, written into BENCHMARKS.md
bench-proxy: setup-test
	deploy/setup.sh bench
	$(CARGO) build --release -p headwater -p headwater-proxy -p headwater-bench
	target/release/headwater-bench proxy --rounds 2 --seconds 3 $(if $(SOURCE),--source $(SOURCE)) --write BENCHMARKS.md $(ARGS)

## From lens to eye in Chromium, written into BENCHMARKS.md (SOURCE=film.mp4, ARGS=--watch=60). Wants a quiet machine
bench-latency: setup-test web
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund
	$(CARGO) build --release -p headwater -p headwater-bench
	target/release/headwater-bench latency $(if $(SOURCE),--source $(SOURCE)) --write BENCHMARKS.md $(ARGS)

## What a stream and a viewer cost when there are many, written into BENCHMARKS.md with a plot
bench-scale: setup-test
	$(CARGO) build --release -p headwater -p headwater-proxy -p headwater-server -p headwater-origin -p headwater-bench
	target/release/headwater-bench scale $(if $(SOURCE),--source $(SOURCE)) --write BENCHMARKS.md $(ARGS)

## What the origin spends on an answer, against nginx; written into BENCHMARKS.md
bench-origin: setup-test
	deploy/setup.sh bench
	$(CARGO) build --release -p headwater-origin -p headwater-bench
	target/release/headwater-bench origin --seconds 3 --write BENCHMARKS.md $(ARGS)

## How long 10,000 viewers wait for a part that is there; written into BENCHMARKS.md
bench-viewers: setup-test
	$(CARGO) build --release -p headwater-origin -p headwater-bench
	target/release/headwater-bench viewers --write BENCHMARKS.md $(ARGS)

## What recording asks of the store, how soon a segment is listed, what going back and downloads cost; written into BENCHMARKS.md
bench-recording: setup-test
	deploy/setup.sh bench
	$(CARGO) build --release -p headwater -p headwater-origin -p headwater-bench
	target/release/headwater-bench recording --rounds 2 --seconds 60 $(if $(SOURCE),--source $(SOURCE)) --write BENCHMARKS.md $(ARGS)

## What the default ladder costs and how good it is, against ffmpeg and x264, written into BENCHMARKS.md (SOURCE=film.mp4)
bench-ladder: setup-test
	$(CARGO) build --release -p headwater-server -p headwater-bench
	-deploy/vmaf.sh target/vmaf
	target/release/headwater-bench ladder --seconds 20 $(if $(SOURCE),--source $(SOURCE)) --vmaf target/vmaf/ffmpeg \
	  --write BENCHMARKS.md $(ARGS)

## Random faults on a simulated network: make chaos SEEDS=5000, or one of them again, with all that happens: make chaos SEED=123
chaos: setup
	SEEDS=$(SEEDS) SEED=$(SEED) $(CARGO) test --release -p headwater-simulator --test chaos -- --ignored --exact many_schedules_hold --nocapture

## Executables of the last release beside those of today, in both directions and in a rolling update. RELEASE=COMMIT takes
## another commit than the last one of RELEASES.md, OLD=DIRECTORY takes executables that are there
compat: setup-test web
	$(CARGO) build --workspace --bins
	OLD=$${OLD:-$$(deploy/build-release.sh $(RELEASE))} && \
	  OLD_EXECUTABLES=$$(realpath "$$OLD") $(CARGO) test -p headwater-tests --test compat -- --ignored --nocapture

## How soon a broadcast goes on when something dies; rewrites the table in docs/failover.md. Wants a quiet machine
bench-failover: setup-test web
	$(CARGO) build --release --workspace --bins
	$(CARGO) bench -p headwater-tests --bench failover -- --write $(ARGS)

## Brings the compose stack up, publishes, plays, takes it down (needs Docker)
compose-test:
	deploy/compose-test.sh

clean:
	$(CARGO) clean
	rm -rf web/player/dist web/player/node_modules tests/browser/node_modules
