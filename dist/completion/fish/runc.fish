# fish completion for runc: commands and flags are cut out of its own help texts.
function __runc_candidates
    set -l words (commandline -opc)
    set -l command (string match -r -- '^[a-z]+$' $words[2..-1])[1]
    if string match -q -- '-*' (commandline -ct)
        runc $command --help 2>/dev/null | string match -rg -- '^   (--[a-z-]+)'
    else if test -z "$command"
        runc --help 2>/dev/null | sed -n '/^COMMANDS:/,/^GLOBAL/s/^   \([a-z]*\) .*/\1/p'
    else if not contains -- $command create run restore spec features list
        runc list --quiet 2>/dev/null
    end
end
complete -c runc -a '(__runc_candidates)'
