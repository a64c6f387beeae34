#!/bin/sh
# Greets whoever is named: greeting.sh [--language en|nl|fr] [NAME]
set -eu

language=en
if [ "${1:-}" = --language ]; then
    language=${2:?--language needs a value}
    shift 2
fi
name=${1:-world}

case $language in
    en) echo "Hello, $name!" ;;
    nl) echo "Hallo, $name!" ;;
    fr) echo "Bonjour, $name !" ;;
    *)
        echo "greeting: unknown language: $language" >&2
        exit 2
        ;;
esac
