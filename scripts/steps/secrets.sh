# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change and code
# The secrets step: values that are made here, or given by a person, and stay here.
#
# FOLDER/values/NAME        a value each
# FOLDER/values/NAME.next   one that a person has just given, and that has not taken its place
# FOLDER/NAME               a file that some program reads
# FOLDER/made               which there are, without what is in them
#
# No value is ever an argument of a program: other logins could see it.

folder=$(arg folder)

# made: values that are not there are made, and files are written with them.

made_guard() {
    said=$(list_of_made) || return 1
    [ "$(cat "$folder/made" 2>/dev/null)" = "$said" ] && all_are_there
}

# list_of_made: what stands in the file of that name when all is done.
list_of_made() {
    arg values | while IFS= read -r name; do printf 'value %s\n' "$name"; done
    arg given | while IFS= read -r name; do printf 'given %s\n' "$name"; done
    arg templates | while IFS= read -r line; do
        case $line in @*) ;; *) continue ;; esac
        line=${line#@}
        printf 'file %s %s\n' "${line%% *}" "${line##* }"
    done
}

all_are_there() {
    { arg values; arg given; } | while IFS= read -r name; do [ -s "$folder/values/$name" ] || exit 1; done || return 1
    arg templates | while IFS= read -r line; do
        case $line in @*) ;; *) continue ;; esac
        line=${line#@}
        [ -e "$folder/${line%% *}" ] || exit 1
    done
}

made_apply() {
    make_folder
    unsettle
    arg values | while IFS= read -r name; do
        [ ! -s "$folder/values/$name" ] || continue
        { make_value "$name" && mv "$folder/values/$name.new" "$folder/values/$name"; } || exit 1
        say "made $name"
    done || fail "a value could not be created"
    write_files || fail "a file could not be written"
    list_of_made | write_made || fail "$folder/made could not be written"
}

made_verify() {
    made_guard || fail "not all secrets are there"
}

# given: values that a person gave take their place. The files follow, in a change behind this one.

given_guard() {
    arg asked | while IFS= read -r name; do
        { grep -qx "given $name" "$folder/made" && [ -s "$folder/values/$name" ]; } || exit 1
    done 2>/dev/null
}

given_apply() {
    make_folder
    arg asked | while IFS= read -r name; do
        [ -s "$folder/values/$name.next" ] || {
            hint "'provision secrets' with 'set $name' gives it to the host"
            fail "the secret $name has no value yet"
        }
        replace "$name" next || fail "the secret $name could not take its place"
        say "took $name"
    done || exit 1
}

given_verify() {
    given_guard || fail "not all secrets are there"
}

# rotated: one value is another one from now on: a new one, or one that a person gave.

rotated_guard() { [ -e "$scratch/rotated" ]; }

rotated_apply() {
    make_folder
    name=$(arg name) source=$(arg source)
    if [ "$source" = new ]; then
        rm -f "$folder/values/$name.next"
        make_value "$name" || fail "a value could not be created"
    elif [ ! -s "$folder/values/$name.next" ]; then
        hint "'provision secrets' with 'set $name' gives it to the host"
        fail "the secret $name has no value yet"
    fi
    replace "$name" "$source" || fail "the secret $name could not take its place"
    write_files || fail "a file could not be written"
    list_of_made | write_made || fail "$folder/made could not be written"
    : >"$scratch/rotated"
}

rotated_verify() {
    { rotated_guard && made_guard; } || fail "not all secrets are there"
}

make_folder() {
    umask 077
    mkdir -p "$folder/values" || fail "$folder could not be created"
    chmod 0711 /etc/provision
    chmod 0700 /etc/provision/secrets "$folder" "$folder/values"
}

# make_value NAME: a new one, as NAME.new.
make_value() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$folder/values/$1.new" &&
        [ "$(wc -c <"$folder/values/$1.new")" -eq 32 ]
}

# replace NAME SUFFIX: NAME.SUFFIX becomes the value. Files with the former one are no
# longer told as made, nor is the stack as started: whoever comes behind a run that ended
# in between finishes it.
replace() {
    unsettle
    { [ ! -e "$folder/made" ] || cat "$folder/made"; } | while read -r kind name hash; do
        case $kind in
            file) if uses "$name" "$1"; then continue; fi ;;
            *) [ "$name" != "$1" ] || continue ;;
        esac
        printf '%s\n' "$kind $name${hash:+ $hash}"
    done >"$scratch/made" || return 1
    write_made <"$scratch/made" && mv -f "$folder/values/$1.$2" "$folder/values/$1" || return 1
    kind=value
    if arg given | grep >/dev/null -x "$1"; then kind=given; fi
    printf '%s %s\n' "$kind" "$1" >>"$scratch/made"
    write_made <"$scratch/made"
}

# uses FILE NAME: whether a line of the file has the value of that name in it.
uses() {
    arg templates | {
        inside=
        while IFS= read -r line; do
            case $line in
                "@$1 "*) inside=yes ;;
                @*) inside= ;;
                *"{$2}"* | *"{$2:"*) [ -z "$inside" ] || exit 0 ;;
            esac
        done
        exit 1
    }
}

# unsettle: the stack has not been started with what is here now.
unsettle() {
    applied=/var/lib/provision/stacks/${folder##*/}/applied
    { [ ! -e "$applied" ] || grep -qx secrets "$applied"; } || printf 'secrets\n' >>"$applied"
}

write_made() {
    cat >"$folder/made.new" && chmod 0644 "$folder/made.new" && mv -f "$folder/made.new" "$folder/made"
}

# write_files: each at once, with its owner, readable for that one alone. One that is so
# already stays: containers that mount a newer file are started anew.
#
#   @NAME OWNER HASH   a file; what follows is in it
#    LINE              a line
#   ~LINE              the same without a line break at its end
#   ?LINE, =LINE       the first one where all values in it mean the same without quotes, else the second
write_files() {
    arg templates >"$scratch/templates"
    # A last line without a file, so that the one before it is put in its place as well.
    printf '@\n' >>"$scratch/templates"
    name='' owner='' unquoted=''
    while IFS= read -r line; do
        case $line in
            @*)
                [ -z "$name" ] || place "$name" "$owner" || return 1
                line=${line#@}
                name=${line%% *} owner=${line#* }
                owner=${owner%% *}
                [ -z "$name" ] || : >"$folder/$name.new" || return 1
                ;;
            '?'*) unquoted=${line#'?'} ;;
            =*)
                line=${line#=}
                ! are_plain "$line" || line=$unquoted
                { filled "$line" && printf '\n'; } >>"$folder/$name.new" || return 1
                ;;
            '~'*) filled "${line#'~'}" >>"$folder/$name.new" || return 1 ;;
            *) { filled "${line# }" && printf '\n'; } >>"$folder/$name.new" || return 1 ;;
        esac
    done <"$scratch/templates"
}

# place NAME OWNER: the file that was written beside it takes its place.
place() {
    chown "$2" "$folder/$1.new" && chmod 0400 "$folder/$1.new" || return 1
    if is_same "$1" && [ "$(stat -c '%a %u:%g' "$folder/$1")" = "400 $2" ]; then
        rm -f "$folder/$1.new"
    else
        mv -f "$folder/$1.new" "$folder/$1"
    fi
}

# is_same NAME: whether the new file has nothing new in it. Files used to end with a line break.
is_same() {
    cmp -s "$folder/$1.new" "$folder/$1" || { cat "$folder/$1.new"; printf '\n'; } | cmp -s - "$folder/$1"
}

# next_value: the first {NAME:ENCODING} of $rest, as $before, $inside and $encoding; $rest is what
# follows. 1 where there is none.
next_value() {
    before=
    while :; do
        case $rest in *'{'*'}'*) ;; *) return 1 ;; esac
        before=$before${rest%%'{'*}
        rest=${rest#*'{'}
        inside=${rest%%'}'*} encoding=
        case $inside in
            *:raw | *:url | *:json | *:env | *:pgpass | *:line) encoding=${inside##*:} inside=${inside%:*} ;;
        esac
        # A brace that is none of ours: JSON has such.
        case $inside in '' | [._-]* | *[!A-Za-z0-9._-]*) before=$before'{' && continue ;; esac
        rest=${rest#*'}'}
        return 0
    done
}

# are_plain LINE: whether its values mean the same with quotes and without.
are_plain() {
    rest=$1
    while next_value; do
        [ "$(LC_ALL=C tr -d 'A-Za-z0-9._~-' <"$folder/values/$inside" | wc -c)" -eq 0 ] || return 1
    done
}

# filled LINE: with the values for the names in braces, each encoded. What is printed by a builtin
# is no argument.
filled() {
    rest=$1
    while next_value; do
        printf '%s' "$before"
        [ -s "$folder/values/$inside" ] || return 1
        case $encoding in
            '' | raw) cat "$folder/values/$inside" || return 1 ;;
            line)
                # The rest of a line is all that there is for a value.
                [ "$(LC_ALL=C tr -cd '\n\r' <"$folder/values/$inside" | wc -c)" -eq 0 ] || {
                    hint "leave out 'format: raw' of the env_file, or give the secret as a file" >&2
                    fail "the secret $inside has a line break in it, which $name cannot hold" >&2
                }
                cat "$folder/values/$inside" || return 1
                ;;
            *) encoded "$encoding" <"$folder/values/$inside" ;;
        esac
    done
    printf '%s' "$before$rest"
}

# encoded ENCODING: stdin, byte by byte, so that neither a locale nor a line break matters.
encoded() {
    od -An -v -to1 | while read -r bytes; do
        for byte in $bytes; do
            case $1$byte in
                # Letters, digits, "-", ".", "_" and "~".
                url05[56] | url06? | url07[01] | url10[1-7] | url1[12]? | url13[0-2] | url137 | url14[1-7] | url1[56]? | url17[0-2] | url176)
                    printf '%b' "\\0$byte"
                    ;;
                url*) printf '%%%02X' "0$byte" ;;
                env042 | env044 | env134 | json042 | json134 | pgpass072 | pgpass134) printf '%b' "\\0134\\0$byte" ;;
                env012 | json012) printf '%s' '\n' ;;
                env015 | json015) printf '%s' '\r' ;;
                json011) printf '%s' '\t' ;;
                json0[0-3]? | json177) printf '\\u%04x' "0$byte" ;;
                *) printf '%b' "\\0$byte" ;;
            esac
        done
    done
}
