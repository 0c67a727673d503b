# bash completion for @PROGRAM@; the table at the end is its option tables.

# Sets kind and words: what the value of flag $2 of command $1 may be ("-": its
# arguments). Fails when there is no such flag.
_@FUNCTION@_find() {
    local row_command row_flag

    while read -r row_command row_flag kind words; do
        [[ $row_command == "$1" && $row_flag == "$2" ]] && return
    done <<<"$_@FUNCTION@_table"
    kind=absent words=
    return 1
}

# Prints the flags of command $1 that begin with $2, long ones with a value
# ending in "=".
_@FUNCTION@_flags() {
    local row_command row_flag row_kind rest

    while read -r row_command row_flag row_kind rest; do
        [[ $row_command == "$1" && $row_flag == -?* ]] || continue
        [[ $row_flag == --* && $row_kind != absent ]] && row_flag="$row_flag="
        [[ $row_flag == "$2"* ]] && printf '%s\n' "$row_flag"
    done <<<"$_@FUNCTION@_table"
}

# Prints the batches of the broker that the line names.
_@FUNCTION@_batches() {
    local line

    line=$(grep -oE -- '--broker[= ] *[^ ]+' <<<"$COMP_LINE" | tail -n 1)
    @PROGRAM@ status --connect-wait 0.3 --json \
        ${line:+"--broker=${line#--broker?}"} 2>/dev/null </dev/null |
        sed -En 's/.*"id": ?"([^"]*)".*/\1/p'
}

# Fills COMPREPLY with what of kind and words begins with $1.
_@FUNCTION@_offer() {
    local head=

    case $kind in
    file | dir)
        compopt -o filenames 2>/dev/null
        [[ $kind == dir ]] && mapfile -t COMPREPLY < <(compgen -d -- "$1")
        [[ $kind == file ]] && mapfile -t COMPREPLY < <(compgen -f -- "$1")
        ;;
    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$1") ;;
    list)
        compopt -o nospace 2>/dev/null
        [[ $1 == *,* ]] && head=${1%,*},
        mapfile -t COMPREPLY < <(compgen -P "$head" -W "$words" -- "${1##*,}")
        ;;
    starts)
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$1")
        ;;
    batch)
        mapfile -t COMPREPLY < <(
            compgen -W "$(_@FUNCTION@_batches)" -- "$1"
        )
        ;;
    esac
}

_@FUNCTION@() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=- kind words commands i takes_flags=yes

    COMPREPLY=()
    commands=$(cut -d ' ' -f 1 <<<"$_@FUNCTION@_table" | grep . | sort -u)
    if [[ $commands != - ]]; then
        command="get" # what it does without a subcommand
        if ((COMP_CWORD > 1)) &&
            grep -qxF -e "${COMP_WORDS[1]}" <<<"$commands"; then
            command=${COMP_WORDS[1]}
        elif [[ $COMP_CWORD == 1 && $current != -* ]] ||
            [[ $COMP_CWORD == 2 && $previous == help ]]; then
            ((COMP_CWORD > 1)) || commands+=$'\nhelp'
            mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
            ((${#COMPREPLY[@]})) && return
        fi
    fi
    # bash cuts "--flag=value" into three words.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    # The last letter of -qi decides what follows.
    [[ $previous == -[!-]?* ]] && previous=-${previous: -1}
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] && takes_flags=
    done
    if [[ $takes_flags && $previous == -?* ]] && _@FUNCTION@_find "$command" "$previous" &&
        [[ $kind != absent ]]; then
        _@FUNCTION@_offer "$current"
    elif [[ $takes_flags && $current == -* ]]; then
        mapfile -t COMPREPLY < <(_@FUNCTION@_flags "$command" "$current")
        [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null
    else
        _@FUNCTION@_find "$command" - && _@FUNCTION@_offer "$current"
    fi
}
complete -F _@FUNCTION@ @PROGRAM@

_@FUNCTION@_table='
