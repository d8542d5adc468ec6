# The commands of every day; what they do is in tests/tools and benches.
.DEFAULT_GOAL := help
.PHONY: help setup demo stop test bench install package test-package all fmt lint clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 21

setup: ## install what is missing to build and test (Debian 12)
	@tests/tools/install.sh

demo: ## a whole pull on throwaway servers (ROWS=200000 BATCH=50000 KEEP=1)
	@ROWS='$(ROWS)' BATCH='$(BATCH)' KEEP='$(KEEP)' tests/tools/demo.sh

stop: ## stop the servers that make demo KEEP=1 left up
	@tests/tools/demo.sh stop

test: ## every test on every version found (VERSIONS="13 16" TEST=name)
	@VERSIONS='$(VERSIONS)' tests/tools/test.sh $(TEST)

bench: ## measure against COPY piped into COPY and postgres_fdw
	@benches/run.sh

install: ## build and install into a server of yours (PG_CONFIG=…)
	@test -n '$(PG_CONFIG)' || { echo 'usage: make install PG_CONFIG=/path/to/pg_config' >&2; exit 2; }
	@tests/tools/install.sh --tools
	@tests/tools/install-extension.sh '$(PG_CONFIG)'

package: ## a Debian package and a tarball for a server's version, in target/packages (PG_CONFIG=…)
	@test -n '$(PG_CONFIG)' || { echo 'usage: make package PG_CONFIG=/path/to/pg_config' >&2; exit 2; }
	@packaging/package.sh '$(PG_CONFIG)'

test-package: ## install both into a bare Debian, and pull there (root or sudo)
	@packaging/test.sh

# `pgxn install` asks for it before install, which builds.
all:

fmt: ## format the sources
	@cargo fmt

lint: ## what CI checks before the tests: format, clippy per version
	@.ci/run lint

clean: ## delete what was built
	@cargo clean
