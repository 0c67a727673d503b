#compdef @PROGRAM@
# zsh completion for @PROGRAM@, made from its option tables.

# The batches of the broker that the line names.
_@FUNCTION@_batches() {
    local broker=${words[(R)--broker=*]}
    local -a ids

    (( ${words[(I)--broker]} )) && broker=--broker=${words[${words[(I)--broker]} + 1]}
    ids=(${(f)"$(@PROGRAM@ status --connect-wait 0.3 --json $broker \
        2>/dev/null </dev/null | sed -En 's/.*"id": ?"([^"]*)".*/\1/p')"})
    _describe -t batches batch ids
}

