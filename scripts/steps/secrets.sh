# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change and code
# The secrets step: values that are made here and stay here.
#
# FOLDER/values/NAME   a value each
# FOLDER/NAME          a file that some program reads
# FOLDER/made          which there are, without what is in them
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
    arg templates | while IFS= read -r line; do
        case $line in @*) ;; *) continue ;; esac
        line=${line#@}
        printf 'file %s %s\n' "${line%% *}" "${line##* }"
    done
}

all_are_there() {
    arg values | while IFS= read -r name; do [ -s "$folder/values/$name" ] || exit 1; done || return 1
    arg templates | while IFS= read -r line; do
        case $line in @*) ;; *) continue ;; esac
        line=${line#@}
        [ -e "$folder/${line%% *}" ] || exit 1
    done
}

made_apply() {
    umask 077
    mkdir -p "$folder/values" || fail "$folder could not be made"
    chmod 0711 /etc/provision
    chmod 0700 /etc/provision/secrets "$folder" "$folder/values"
    arg values | while IFS= read -r name; do
        [ ! -s "$folder/values/$name" ] || continue
        od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$folder/values/$name.new" || exit 1
        [ "$(wc -c <"$folder/values/$name.new")" -eq 32 ] || exit 1
        mv "$folder/values/$name.new" "$folder/values/$name" || exit 1
        say "made $name"
    done || fail "a value could not be made"
    write_files || fail "a file could not be written"
    list_of_made >"$folder/made.new" && chmod 0644 "$folder/made.new" && mv "$folder/made.new" "$folder/made"
}

made_verify() {
    made_guard || fail "not all secrets are there"
}

# write_files: each at once, with its owner, readable for that one alone.
write_files() {
    arg templates >"$scratch/templates"
    # A last line without a file, so that the one before it is put in its place as well.
    printf '@\n' >>"$scratch/templates"
    name='' owner=''
    while IFS= read -r line; do
        case $line in
            @*)
                if [ -n "$name" ]; then
                    chown "$owner" "$folder/$name.new" && chmod 0400 "$folder/$name.new" &&
                        mv -f "$folder/$name.new" "$folder/$name" || return 1
                fi
                line=${line#@}
                name=${line%% *} owner=${line#* }
                owner=${owner%% *}
                [ -z "$name" ] || : >"$folder/$name.new" || return 1
                ;;
            *) filled "${line# }" >>"$folder/$name.new" || return 1 ;;
        esac
    done <"$scratch/templates"
}

# filled LINE: with the values for the names in braces. What is printed by a builtin is no argument.
filled() {
    rest=$1 out=
    while :; do
        case $rest in *'{'*'}'*) ;; *) break ;; esac
        out=$out${rest%%'{'*}
        rest=${rest#*'{'}
        # A brace that is none of ours: JSON has such.
        case ${rest%%'}'*} in '' | *[!A-Za-z0-9._-]*) out=$out'{' && continue ;; esac
        value=
        IFS= read -r value <"$folder/values/${rest%%'}'*}" || [ -n "$value" ] || return 1
        out=$out$value
        rest=${rest#*'}'}
    done
    printf '%s\n' "$out$rest"
}
