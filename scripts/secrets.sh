#!/bin/sh
# Runs on the host: tells which secrets it has made, or one of them; takes one that a person gives.
#
# Behind the marker at the end stand parameters, a line each ("verb list"):
#
#   list   STACK and NAME of each, separated by a tab
#   show   the value of NAME in STACK, in base64; "none" where there is none
#   put    VALUE, in base64, lies ready for NAME in STACK; the run that follows takes it
#   keep   VALUE is that of NAME, of which there was none; the next run finds it there. KIND
#          is what it is in the list of them: "given", or "value" where the host could make it
set -u
root=/etc/provision/secrets

verb='' stack='' name='' kind='' secret='' marked=
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
        'kind '*) kind=$value ;;
        'value '*) secret=$value ;;
    esac
done <"$0"

case $stack/$name in *..* | */*/*) exit 64 ;; esac

# take NAME: the value is in a file of that name, root's alone. printf is the shell's own: no argument.
take() {
    umask 077
    mkdir -p "$root/$stack/values" && chmod 0711 /etc/provision &&
        chmod 0700 "$root" "$root/$stack" "$root/$stack/values" || exit 1
    printf '%s' "$secret" | base64 -d >"$root/$stack/values/$1.new" && [ -s "$root/$stack/values/$1.new" ] &&
        mv -f "$root/$stack/values/$1.new" "$root/$stack/values/$1" || exit 1
}

case $verb in
    list)
        for path in "$root"/*/values/*; do
            [ -f "$path" ] || continue
            folder=${path%/values/*}
            case $path in *.new | *.next) continue ;; esac
            printf '%s\t%s\n' "${folder##*/}" "${path##*/}"
        done
        ;;
    show)
        case $stack/$name in /* | */) exit 64 ;; esac
        if [ -f "$root/$stack/values/$name" ]; then
            printf 'value '
            base64 <"$root/$stack/values/$name" | tr -d '\n'
            printf '\n'
        else
            printf 'none\n'
        fi
        ;;
    put)
        case $stack/$name/$secret in /* | *//* | */) exit 64 ;; esac
        take "$name.next"
        ;;
    keep)
        case $stack/$name/$secret in /* | *//* | */) exit 64 ;; esac
        case $kind in given | value) ;; *) exit 64 ;; esac
        [ ! -e "$root/$stack/values/$name" ] || exit 73
        take "$name"
        made=$root/$stack/made
        { [ ! -e "$made" ] || grep -vx "$kind $name" "$made"; printf '%s %s\n' "$kind" "$name"; } >"$made.new" &&
            chmod 0644 "$made.new" && mv -f "$made.new" "$made" || exit 1
        ;;
    *) exit 64 ;;
esac
exit 0
# shellcheck disable=SC2317 # a marker, never reached
__PARAMETERS__
