# `fix` changes files, `check` never does, as in the generated project.

PYTHON ?= python3
PROJECT = {{cookiecutter.project}}
LOCKS = requirements/template.txt $(ROOMS:%="$(PROJECT)/requirements/%.txt")
ROOMS = train serve batch tools notebook
INSTALL = $(PYTHON) "$(PROJECT)/install.py" --venv .venv --no-project $(if $(WITH),--with $(WITH))
ACTIVATE = . .venv/bin/activate
COMPILE = $(ACTIVATE) && uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--python-version 3.11 $(UPGRADE)
# uv trusts the certificates of the system, as pip does.
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS
FAST = $(addprefix tests/,predict contract tables stages compare release/history release/places \
	template/test_borders.py template/test_docs.py)
DEMO = demo
LESSON = lesson

.PHONY: demo lesson quick test engine browser soak install check fix lock help

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1	\2/p' Makefile | expand -t 16

demo:  ## bake a project into demo/ (DEMO=DIR) and bring a model to production
	@$(PYTHON) demos/demo.py $(if $(WITH),--with $(WITH)) "$(DEMO)"

lesson:  ## a lecture in lesson/ (LESSON=DIR), shown again once done (PAUSE=1 FROM=STEP LIVE=1 LIST=1)
	@$(PYTHON) demos/lesson.py $(if $(WITH),--with $(WITH)) $(if $(PAUSE),--pause) $(if $(LIVE),--live) \
		$(if $(LIST),--list) $(if $(FROM),--from "$(FROM)") "$(LESSON)"

install:  ## set up .venv with all that the tests need (WITH=pip or WITH=uv to choose)
	@$(INSTALL) $(LOCKS)

engine:  ## install podman if it is missing, and a base image, for tests/release/follow/test_container.py
	@tests/fixtures/engine.sh "$(HOME)/.cache/mlops-engine"

browser:  ## install Chromium if it is missing, for the tests that look at pages
	@tests/fixtures/debian.sh chromium

quick: check  ## check, then run the tests of the fast rooms: under 3 minutes, before each commit
	@$(ACTIVATE) && python -m pytest $(FAST)

test: check  ## check, then run all tests, in two processes
	@$(ACTIVATE) && python -m pytest --numprocesses 2 --dist loadfile

soak: install  ## test every fault and 200 random histories, for some hours (LOG=FILE to go on); writes benchmarks/soak.md
	@$(ACTIVATE) && python benchmarks/soak.py $(if $(LOG),--log "$(LOG)")

check: install  ## check lint and types of the template and of the project; changes nothing
	@$(ACTIVATE) && ruff check
	@$(ACTIVATE) && ruff format --check
	@$(ACTIVATE) && mypy
	@$(ACTIVATE) && cd "$(PROJECT)" && mypy --cache-dir ../.mypy_cache/project

fix: install  ## lint and format, changing files
	@$(ACTIVATE) && ruff check --fix
	@$(ACTIVATE) && ruff format

lock: install  ## pin what the template and the project need (UPGRADE=--upgrade for new versions)
	@$(MAKE) --no-print-directory -C "$(PROJECT)" lock INSTALL=: ACTIVATE=". ../.venv/bin/activate"
	@$(COMPILE) $(patsubst %,--constraint "$(PROJECT)/requirements/%.txt",$(ROOMS)) \
		--group template --output-file requirements/template.txt
	@$(COMPILE) --constraint requirements/template.txt \
		--group cookiecutter --output-file requirements/cookiecutter.txt
