#!/bin/sh
# Tests src/greeting.sh: run from anywhere, exits 1 when a test fails.
set -u
cd "$(dirname "$0")/.." || exit 1
failures=0

# expect WHAT EXPECTED ACTUAL
expect() {
    if [ "$2" = "$3" ]; then
        echo "ok    $1"
    else
        echo "FAIL  $1: expected '$2', got '$3'"
        failures=$((failures + 1))
    fi
}

expect "greets the world" "Hello, world!" "$(sh src/greeting.sh)"
expect "greets by name" "Hello, Ada!" "$(sh src/greeting.sh Ada)"
expect "greets in Dutch" "Hallo, Ada!" "$(sh src/greeting.sh --language nl Ada)"
expect "greets in French" "Bonjour, Ada !" "$(sh src/greeting.sh --language fr Ada)"

sh src/greeting.sh --language xx Ada >/dev/null 2>&1
expect "refuses an unknown language" 2 $?

echo "$failures failed"
[ "$failures" -eq 0 ]
