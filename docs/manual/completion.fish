# fish completion for @PROGRAM@, made from its option tables.

# True when the line is of this subcommand; get is what others are.
function __@FUNCTION@_is -a command
    set -l typed (commandline -opc)
    if set -q typed[2]; and contains -- $typed[2] $__@FUNCTION@_commands
        test $typed[2] = $command
    else
        test $command = get
    end
end

function __@FUNCTION@_is_first
    test (count (commandline -opc)) -eq 1
end

function __@FUNCTION@_is_help
    set -l typed (commandline -opc)
    test (count $typed) -eq 2; and test $typed[2] = help
end

# Each word behind what the value has up to its last comma.
function __@FUNCTION@_list
    set -l value (string replace -r -- '^--[^=]*=' '' (commandline -ct))
    set -l head (string match -r -- '^.*,' $value)
    printf '%s\n' "$head"$argv
end

# The batches of the broker that the line names.
function __@FUNCTION@_batches
    command -q @PROGRAM@; or return
    set -l broker (string match -r -- '--broker[= ] *[^ ]+' (commandline -p))
    set -l broker (string replace -r -- '^--broker[= ] *' '--broker=' $broker)
    @PROGRAM@ status --connect-wait 0.3 --json $broker 2>/dev/null </dev/null |
        string replace -rf -- '.*"id": ?"([^"]*)".*' '$1'
end

complete -c @PROGRAM@ -f
