#!/bin/sh
# Runs on the host: tells which secrets it has made, or one of them.
#
# Behind the marker at the end stand parameters, a line each ("verb list"):
#
#   list   STACK and NAME of each, separated by a tab
#   show   the value of NAME in STACK; "none" where there is none
set -u
root=/etc/provision/secrets

verb='' stack='' name='' marked=
while IFS= read -r line; do
    if [ -z "$marked" ]; then
        [ "$line" != __PARAMETERS__ ] || marked=1
        continue
    fi
    value=${line#* }
    case $line in
        'verb '*) verb=$value ;;
        'stack '*) stack=$value ;;
        'name '*) name=$value ;;
    esac
done <"$0"

case $verb in
    list)
        for path in "$root"/*/values/*; do
            [ -f "$path" ] || continue
            folder=${path%/values/*}
            case $path in *.new) continue ;; esac
            printf '%s\t%s\n' "${folder##*/}" "${path##*/}"
        done
        ;;
    show)
        case $stack/$name in *..* | */*/* | /* | */) exit 64 ;; esac
        if [ -f "$root/$stack/values/$name" ]; then
            printf 'value '
            cat "$root/$stack/values/$name"
            printf '\n'
        else
            printf 'none\n'
        fi
        ;;
    *) exit 64 ;;
esac
exit 0
# shellcheck disable=SC2317 # a marker, never reached
__PARAMETERS__
