# Recipes use the project's own environment; `just venv` makes it.
py := ".venv/bin/python"

# list the recipes
default:
    @just --list

# make .venv with the locked development dependencies
venv:
    python3 -m venv --without-pip .venv
    python3 -m pip --python .venv install -q -r requirements/dev.txt

# serve the development config
run *args:
    {{py}} -m mcproxy serve --config srv/mc-proxy.toml {{args}}

# the tour: real backends, real requests, an edit, the plan and its effect
demo *args:
    {{py}} -m mcproxy demo {{args}}

test *args:
    {{py}} -m pytest {{args}}

# what the default leaves out: long runs, much load; fewer at a time, as many of them fill both cores
soak *args:
    {{py}} -m pytest -m soak -n 5 {{args}}

# properties on all their examples, of which the default tries a third
properties *args:
    {{py}} -m pytest --hypothesis-profile thorough tests/property {{args}}

# memory, descriptors, losses and counters over 30 minutes (or as many as are given) of mixed load, reloads and kills
endurance *args:
    {{py}} -m tests.endurance {{args}}

lint:
    {{py}} -m ruff check .
    {{py}} -m ruff format --check .
    .venv/bin/lint-imports
    gcc -std=c11 -D_GNU_SOURCE -O2 -fsyntax-only -Werror -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 mcproxy/native/*.c
    cppcheck --quiet --std=c11 --enable=warning,style,performance,portability --inline-suppr --error-exitcode=1 mcproxy/native

types:
    {{py}} -m mypy

# known vulnerabilities of the locked packages; exit status 3: the service can't be reached, so nothing was audited
audit:
    {{py}} -m tests.audit

# CPU per connection, GB, message and HTTP request, side by side with the peers
bench *args:
    {{py}} -m tests.bench {{args}}

# fail when a data path costs clearly more beside haproxy than it does now; a minute
ratios:
    {{py}} -m tests.bench.ratios

# what clients see when a backend is killed, behind mcproxy and behind haproxy
failover *args:
    {{py}} -m tests.failover {{args}}

# hostile clients and backends, with what they cost (`--peers haproxy,nginx` beside others, `--quick` for little of each)
attacks *args:
    {{py}} -m tests.attacks {{args}}

# make mistakes in a module or package (control/reconcile, wire/http2/gate ...), and print those that no near test notices
mutate module *args:
    {{py}} -m tests.mutate {{module}} {{args}}

# feed what comes from outside with inputs that nobody would send: `just fuzz h2-session 600`; `just fuzz simulate` plays the
# seeded simulations; see tests/fuzz
fuzz *args:
    {{py}} -m tests.fuzz {{args}}

# the native core compiled with AddressSanitizer and UBSan: unit and differential tests, fuzz targets for some seconds (60, say), and the
# integration tests of the data path
native-sanitized *args:
    {{py}} -m tests.sanitized {{args}}

# write mcproxy/_pb/ from proto/
proto:
    # under the package's path, so that generated modules can be imported where they stand
    {{py}} -m grpc_tools.protoc -Imcproxy/_pb=proto/mc_proxy/v1 --python_out=. --pyi_out=. mcproxy/_pb/admin.proto
    {{py}} -m grpc_tools.protoc -Imcproxy/_pb=proto/etcd/v3 --python_out=. --pyi_out=. mcproxy/_pb/etcd.proto

# write schemas/, docs/config.md, and the tables of docs/security.md and docs/access-log.md from the code
schemas:
    {{py}} -m mcproxy schema > schemas/mc-proxy.schema.json
    {{py}} -m mcproxy schema --markdown > docs/config.md
    {{py}} -m tests.support.limits_table
    {{py}} -m tests.support.reasons_table

# wheels with the native core for x86_64 and aarch64 (glibc 2.17 or later), and the source distribution, into dist/
wheels:
    python3 -m venv --without-pip .venv-release
    python3 -m pip --python .venv-release install -q -r requirements/release.txt
    MCPROXY_WHEEL_PLATFORM=manylinux_2_17_x86_64 .venv-release/bin/python -m hatchling build -t wheel
    MCPROXY_WHEEL_PLATFORM=manylinux_2_17_aarch64 .venv-release/bin/python -m hatchling build -t wheel
    .venv-release/bin/python -m hatchling build -t sdist

# build the documentation as a site, into site/
docs:
    .venv/bin/mkdocs build --strict --quiet

# lock the dependencies with hashes (uv.lock is not used: it names download hosts)
lock:
    .venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "just lock" pyproject.toml -o requirements/runtime.txt
    .venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "just lock" pyproject.toml --group dev -o requirements/dev.txt
    .venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "just lock" --group bench -o requirements/bench.txt
    .venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "just lock" --group release -o requirements/release.txt
