#!/bin/sh
# Holds the dashboards that ship against the types that Grafana publishes for them
# (https://www.npmjs.com/package/@grafana/schema), and shows that it would notice a fault.
# Grafana itself is not needed. Needs npm.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund @grafana/schema@13.2.3 typescript@7.0.2 >/dev/null

# typed FILE: whether the compiler takes it. Enumerations are written as their strings.
typed() {
    {
        echo "import type { Dashboard } from '@grafana/schema';"
        # shellcheck disable=SC2016 # TypeScript's own
        echo 'type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : T extends (infer U)[] ? Plain<U>[] : { [K in keyof T]: Plain<T[K]> };'
        printf 'export const dashboard: Plain<Dashboard> = '
        cat "$1"
        echo ';'
    } >check.ts
    npx --no-install tsc --noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target es2022 check.ts
}

passed=0 failed=0
for file in "$ROOT"/playbooks/*/grafana/dashboards/*.json; do
    if typed "$file" >said 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s is no dashboard:\n' "${file#"$ROOT/"}"
        grep error said | head -n 5
    fi
done
sed 's/"title": "[^"]*"/"title": 7/' "$file" >wrong.json
if typed wrong.json >said 2>&1; then
    failed=$((failed + 1))
    echo 'a title that is a number was taken'
else
    passed=$((passed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
