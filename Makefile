# Two commands do everything on a fresh machine: `make image` and `make test`.
RECIPE ?= examples/demo.yaml
PORT ?= 4566
SHELL := /bin/sh
# Node keeps compiled modules here: a third of a second at every start.
export NODE_COMPILE_CACHE := $(CURDIR)/.state/compile-cache
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):/usr/sbin:/sbin

.PHONY: image test cloud deploy diff destroy bench clean

image: ## Build the image of RECIPE on this machine, end to end, against the local cloud; SET="name=value …" for its parameters
	@local/setup.sh image
	@node esbuild.config.mjs
	@node local/make-image.ts $(RECIPE) $(foreach setting,$(SET),--set '$(setting)')

cloud: ## Leave the local cloud running, so that the AWS CLI can look at it
	@local/setup.sh image
	@node local/main.ts --port $(PORT)

test: ## Types, lint, boundaries, unit, contract, worker and end-to-end tests
	@local/setup.sh test
	@# Without Python's judges, or a kernel for a guest, the tests that need them say that they are skipped.
	-@test/local/judges/setup-venv.sh
	-@test/local/instance-host/guest/setup-kernel.sh
	node esbuild.config.mjs
	npm run --silent check:types
	npm run --silent check:lint
	npm run --silent check:dead
	npm run --silent test

deploy: ## Deploy to the AWS account and region of the shell: shows what changes, and asks. SETTINGS="name=value …", YES=1 not to be asked
	@local/setup.sh deploy
	@node infra/deploy.ts deploy $(if $(YES),--yes) $(foreach setting,$(SETTINGS),'$(setting)')

diff: ## What `make deploy` with these SETTINGS would change
	@local/setup.sh deploy
	@node infra/deploy.ts diff $(foreach setting,$(SETTINGS),'$(setting)')

destroy: ## Remove the factory; its images and the artifacts bucket stay
	@local/setup.sh deploy
	@node infra/deploy.ts destroy $(if $(YES),--yes) $(foreach setting,$(SETTINGS),'$(setting)')

bench: ## Speed, memory and bundle size, measured
	@local/setup.sh test
	@node esbuild.config.mjs
	@node bench/bundles.ts
	@node bench/make-image.ts
	@node bench/image/makefs-memory.ts
	@node bench/packages/catalogue.ts

clean: ## Remove what was built and the local cloud's state
	rm -rf dist out cdk.out .state
